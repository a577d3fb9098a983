-- One row per order that exists, with what was paid and what came back.
with paid as (
    select
        transactions.product,
        transactions.order_id,
        sum(transactions.amount) filter (where transactions.kind in ('sale', 'capture')) as paid_amount,
        sum(transactions.amount) filter (where transactions.kind = 'refund') as refunded_amount
    from {{ ref('int_transactions') }} as transactions
    where transactions.status = 'success' and not transactions.is_test
    group by transactions.product, transactions.order_id
),

facts as (
    {{ order_facts(ref('int_orders'), ref('int_transactions'), ref('int_refunds')) }}
)

select
    orders.product,
    orders.order_id,
    orders.order_name,
    orders.customer_key,
    orders.is_guest,
    orders.business_date,
    orders.processed_at,
    orders.cancelled_at,
    orders.is_cancelled,
    orders.is_voided,
    orders.is_test,
    facts.is_sale,
    facts.is_winning_order,
    orders.financial_status,
    orders.currency,
    orders.line_count,
    orders.gross_sales,
    orders.discounts,
    {{ money('facts.returns') }} as returns,
    {{ money('orders.gross_sales - orders.discounts - facts.returns') }} as net_sales,
    orders.total_price,
    {{ money('coalesce(paid.paid_amount, 0)') }} as paid_amount,
    {{ money('coalesce(paid.refunded_amount, 0)') }} as refunded_amount,
    orders.event_source,
    orders.event_id,
    orders.batch
from {{ ref('int_orders') }} as orders
inner join facts on orders.product = facts.product and orders.order_id = facts.order_id
left join paid on orders.product = paid.product and orders.order_id = paid.order_id
