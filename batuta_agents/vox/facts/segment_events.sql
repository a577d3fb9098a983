-- grain: one row per event of a segment's customers: their orders and refunds
-- units: none
-- relations: live_orders, live_refunds
-- filter: orders and refunds up to the day, without test and voided orders, in the product's currency; one segment
with orders as materialized (
    select order_id, customer_key, business_date, is_cancelled, event_source, event_id
    from batuta_live.live_orders
    where product = %(product)s
        and not is_test
        and not is_voided
        and not is_deleted
        and currency = %(currency)s
        and business_date <= %(as_of)s::date
),

customers as (
    select
        customer_key,
        count(*) filter (where not is_cancelled) as orders,
        %(as_of)s::date - max(business_date) filter (where not is_cancelled) as days_since_order
    from orders
    where customer_key is not null
    group by customer_key
),

placed as (
    select
        customer_key,
        case
            when orders = 0 then 'cancelled_only'
            when days_since_order > %(lost_days)s::int then 'lost'
            when days_since_order <= %(recent_days)s::int and orders >= %(champion_orders)s::int then 'champions'
            when days_since_order <= %(lapsing_days)s::int and orders >= %(loyal_orders)s::int then 'loyal'
            when orders >= %(loyal_orders)s::int then 'at_risk'
            when days_since_order <= %(recent_days)s::int and orders = 1 then 'new'
            when days_since_order <= %(recent_days)s::int then 'promising'
            when days_since_order <= %(lapsing_days)s::int then 'cooling'
            else 'hibernating'
        end as segment
    from customers
),

chosen as (
    select o.order_id, o.event_source, o.event_id
    from orders as o
    left join placed as p using (customer_key)
    where coalesce(p.segment, 'unidentified') = %(segment)s
)

select event_source as source, event_id as id
from chosen
union
select r.event_source, r.event_id
from batuta_live.live_refunds as r
inner join chosen as c using (order_id)
where r.product = %(product)s and not r.is_failed and r.business_date <= %(as_of)s::date
order by source, id
