-- One row per order: its newest version, deleted ones as tombstones.
{{
    config(
        unique_key=order_key(),
        pre_hook="{{ follow_time_zone('business_date', 'processed_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': order_key(), 'unique': true},
            {'columns': ['product', 'customer_key']},
            {'columns': ['product', 'currency', 'business_date']},
            {'columns': ['batch']},
        ],
    )
}}

{{ fold(order_states(batches_of_this_run('int_orders')), order_key(), order_version()) }}
