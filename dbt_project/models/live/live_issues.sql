-- One row per issue as of the newest committed event.
{{ overlay(
    ref('int_issues'), issue_states(batches_committed_unread_by('int_issues')), issue_key(), issue_version()
) }}
