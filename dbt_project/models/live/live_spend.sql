-- One row per spend as of the newest committed event.
{{ overlay(
    ref('int_spend'), spend_states(batches_committed_unread_by('int_spend')), spend_key(), spend_version()
) }}
