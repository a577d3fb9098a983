-- One row per pull request as of the newest committed event.
{{ overlay(
    ref('int_pull_requests'), pull_request_states(batches_committed_unread_by('int_pull_requests')), pull_request_key(), pull_request_version()
) }}
