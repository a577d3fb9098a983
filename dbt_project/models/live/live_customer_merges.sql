-- One row per customer that was merged into another, as of the newest committed event.
{{ overlay(
    ref('int_customer_merges'), customer_merge_states(batches_committed_unread_by('int_customer_merges')), customer_merge_key(), customer_merge_version()
) }}
