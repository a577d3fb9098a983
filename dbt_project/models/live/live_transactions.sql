-- One row per transaction as of the newest committed event.
{{ overlay(
    ref('int_transactions'), transaction_states(batches_committed_unread_by('int_transactions')), transaction_key(), transaction_version()
) }}
