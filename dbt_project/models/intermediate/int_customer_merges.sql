-- One row per customer that was merged into another.
{{
    config(
        unique_key=customer_merge_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': customer_merge_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(
    customer_merge_states(batches_of_this_run('int_customer_merges')), customer_merge_key(), customer_merge_version()
) }}
