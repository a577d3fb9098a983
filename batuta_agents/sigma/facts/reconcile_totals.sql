-- grain: one row for the window
-- units: counts of orders; amounts in the product's currency
-- relations: live_orders, live_transactions
-- filter: orders of the window without test orders; their successful transactions up to the day; product's currency
with orders as materialized (
    select order_id, currency, total_price
    from batuta_live.live_orders
    where product = %(product)s
        and not is_test
        and not is_deleted
        and business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
),

money as (
    select
        coalesce(sum(t.amount) filter (where t.kind in ('sale', 'capture')), 0) as captured,
        coalesce(sum(t.amount) filter (where t.kind = 'refund'), 0) as refunded
    from batuta_live.live_transactions as t
    inner join orders as o using (order_id)
    where t.product = %(product)s
        and t.status = 'success'
        and not t.is_test
        and t.business_date <= %(as_of)s::date
        and t.currency = %(currency)s
        and o.currency = %(currency)s
)

select
    (select count(*) from orders)::int as checked,
    (select count(*) from orders where currency <> %(currency)s)::int as other_currency,
    round((select coalesce(sum(total_price), 0) from orders where currency = %(currency)s), 2) as sold,
    round(money.captured, 2) as captured,
    round(money.refunded, 2) as refunded
from money
