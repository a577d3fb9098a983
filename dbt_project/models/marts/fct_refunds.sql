-- One row per refund, with the customer it concerns and whether it is booked.
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
from {{ ref('int_refunds') }} as refunds
left join {{ ref('fct_orders') }} as orders
    on refunds.product = orders.product and refunds.order_id = orders.order_id
