-- One row per refund: its newest version as the shop reported it.
{{
    config(
        unique_key=refund_key(),
        pre_hook="{{ follow_time_zone('business_date', 'refunded_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': refund_key(), 'unique': true},
            {'columns': ['product', 'order_id']},
            {'columns': ['batch']},
        ],
    )
}}

{{ fold(refund_states(batches_of_this_run('int_refunds_reported')), refund_key(), refund_version()) }}
