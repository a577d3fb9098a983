-- One row per order that exists, with what was paid and what came back.
{{
    config(
        pre_hook="{{ forget_touched(orders_touched_since('fct_orders'), 'order_id') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'order_id'], 'unique': true},
            {'columns': ['product', 'customer_key']},
            {'columns': ['product', 'business_date']},
        ],
    )
}}

with {{ members_touched_since('fct_orders') }},

{{ order_facts() }}

select {{ order_columns('order_facts') }}
from order_facts
