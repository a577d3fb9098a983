-- One row per transaction: its newest version, whoever told of it.
{{
    config(
        unique_key=transaction_key(),
        pre_hook="{{ follow_time_zone('business_date', 'processed_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': transaction_key(), 'unique': true},
            {'columns': ['product', 'order_id']},
            {'columns': ['batch']},
        ],
    )
}}

{{ fold(transaction_states(batches_of_this_run('int_transactions')), transaction_key(), transaction_version()) }}
