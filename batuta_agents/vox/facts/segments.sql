-- grain: one row per segment that has customers, and one for orders without a known customer
-- units: counts; amounts in the product's currency; days
-- relations: live_orders, live_refunds
-- filter: orders and refunds up to the day, without test and voided orders, in the product's currency
with orders as materialized (
    select
        order_id, customer_key, business_date, is_cancelled, gross_sales - discounts as sales, event_source, event_id
    from batuta_live.live_orders
    where product = %(product)s
        and not is_test
        and not is_voided
        and not is_deleted
        and currency = %(currency)s
        and business_date <= %(as_of)s::date
),

returned as (
    select order_id, sum(returns) as returns
    from batuta_live.live_refunds
    where product = %(product)s
        and not is_failed
        and business_date <= %(as_of)s::date
    group by order_id
),

customers as (
    select
        o.customer_key,
        count(*) filter (where not o.is_cancelled)::int as orders,
        count(*) filter (where o.is_cancelled)::int as cancelled_orders,
        %(as_of)s::date - max(o.business_date) filter (where not o.is_cancelled) as days_since_order,
        sum(o.sales - coalesce(r.returns, 0)) as net_sales,
        coalesce(sum(o.sales - coalesce(r.returns, 0)) filter (where not o.is_cancelled), 0) as kept_sales
    from orders as o
    left join returned as r using (order_id)
    where o.customer_key is not null
    group by o.customer_key
),

placed as (
    select
        *,
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

ranked as (
    select
        *,
        row_number() over (partition by segment order by net_sales desc, customer_key collate "C") as place
    from placed
)

select
    segment,
    count(*)::int as customers,
    sum(orders)::int as orders,
    round(sum(net_sales), 2) as net_sales,
    round(sum(kept_sales) / nullif(sum(orders), 0), 2) as average_order_value,
    round((percentile_cont(0.5) within group (order by days_since_order))::numeric, 1) as median_days_since_order,
    jsonb_agg(customer_key order by place) filter (where place <= %(sample)s::int) as sample
from ranked
group by segment
union all
select
    'unidentified',
    0,
    (count(*) filter (where not o.is_cancelled))::int,
    round(sum(o.sales - coalesce(r.returns, 0)), 2),
    null,
    null,
    null
from orders as o
left join returned as r using (order_id)
where o.customer_key is null
having count(*) > 0
order by segment
