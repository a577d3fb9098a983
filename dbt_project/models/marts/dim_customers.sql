-- One row per customer (guests by e-mail) with at least one order that counts as a sale.
{{
    config(
        pre_hook="{{ forget_touched_customers('dim_customers') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'customer_key'], 'unique': true},
        ],
    )
}}

with {{ orders_of_touched_customers('dim_customers') }}

{{ customers('orders_of_customers') }}
