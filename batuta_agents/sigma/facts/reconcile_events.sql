-- grain: one row per event
-- units: none
-- relations: live_orders, live_transactions
-- filter: orders of the window without test orders, and their transactions up to the day
with orders as materialized (
    select order_id, event_source, event_id
    from batuta_live.live_orders
    where product = %(product)s
        and not is_test
        and not is_deleted
        and business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
)

select event_source as source, event_id as id
from orders
union
select t.event_source, t.event_id
from batuta_live.live_transactions as t
inner join orders as o using (order_id)
where t.product = %(product)s and t.business_date <= %(as_of)s::date
