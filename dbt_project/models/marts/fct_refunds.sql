-- One row per refund, with the customer it concerns and whether it is booked.
{{
    config(
        pre_hook="{{ forget_touched(orders_touched_since('fct_refunds'), 'order_id') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'refund_id'], 'unique': true},
            {'columns': ['product', 'order_id']},
            {'columns': ['product', 'business_date']},
        ],
    )
}}

with {{ members_touched_since('fct_refunds') }},

{{ order_facts() }}

select
    refunds.product,
    refunds.refund_id,
    refunds.order_id,
    orders.customer_key,
    refunds.business_date,
    refunds.refunded_at,
    refunds.returns,
    refunds.refund_total,
    coalesce(refunds.currency, orders.currency) as currency,
    refunds.is_failed,
    coalesce(orders.is_sale and not refunds.is_failed, false) as is_booked,
    refunds.event_source,
    refunds.event_id,
    refunds.batch
from goods_back as refunds
left join order_facts as orders
    on refunds.product = orders.product and refunds.order_id = orders.order_id
