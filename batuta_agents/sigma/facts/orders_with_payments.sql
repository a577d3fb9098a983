-- grain: one row per order, or order id that only transactions name, whose payments do not settle it to the cent
-- units: amounts in the currency beside them, only what is in that currency; refund_not_moved is what a recorded
--     refund did not pay back: its transactions failed and no later one made up for it, or it never had any
-- relations: live_orders, live_transactions, live_refunds
-- filter: orders of the window without test orders; successful transactions and refunds up to the day
with orders as materialized (
    select
        order_id, order_name, business_date, financial_status, is_cancelled, is_voided, currency, total_price,
        event_source, event_id
    from batuta_live.live_orders
    where product = %(product)s
        and not is_test
        and not is_deleted
        and business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
),

transactions as materialized (
    select order_id, kind, status, amount, currency, processed_at, business_date, event_source, event_id
    from batuta_live.live_transactions
    where product = %(product)s
        and status in ('success', 'failure', 'error')
        and kind in ('sale', 'capture', 'refund')
        and not is_test
        and business_date <= %(as_of)s::date
),

paid as (
    select
        o.order_id,
        sum(t.amount) filter (where t.kind <> 'refund' and t.currency = o.currency) as captured,
        sum(t.amount) filter (where t.kind = 'refund' and t.currency = o.currency) as refunded,
        count(*) filter (where t.currency <> o.currency)::int as foreign_transactions,
        jsonb_agg(jsonb_build_array(t.event_source, t.event_id)) as events
    from transactions as t
    inner join orders as o using (order_id)
    where t.status = 'success'
    group by o.order_id
),

attempts as (
    select
        t.order_id,
        t.amount,
        t.event_source,
        t.event_id,
        (
            select coalesce(sum(later.amount), 0)
            from transactions as later
            where later.order_id = t.order_id
                and later.kind = 'refund'
                and later.status = 'success'
                and later.processed_at >= t.processed_at
        ) as paid_back_later
    from transactions as t
    inner join orders as o using (order_id)
    where t.kind = 'refund' and t.status <> 'success'
),

refunds as (
    select
        r.order_id,
        sum(r.refund_total) as refund_recorded,
        count(*) filter (where r.is_failed) as failed_refunds,
        coalesce(sum(r.returns) filter (where not r.is_failed and r.refund_total = 0 and r.returns > 0), 0)
            as returns_without_money,
        jsonb_agg(jsonb_build_array(r.event_source, r.event_id)) as events
    from batuta_live.live_refunds as r
    inner join orders as o using (order_id)
    where r.product = %(product)s and r.business_date <= %(as_of)s::date
    group by r.order_id
),

failed as (
    select
        a.order_id,
        greatest(
            case when min(r.failed_refunds) = 1 then max(a.amount) else sum(a.amount) end - min(a.paid_back_later), 0
        ) as not_moved,
        jsonb_agg(jsonb_build_array(a.event_source, a.event_id)) as events
    from attempts as a
    inner join refunds as r using (order_id)
    where r.failed_refunds > 0
    group by a.order_id
),

settled as (
    select
        o.order_id,
        o.order_name,
        o.business_date,
        o.financial_status,
        o.is_cancelled or o.is_voided as is_cancelled,
        o.currency,
        o.total_price,
        coalesce(p.captured, 0) as captured,
        coalesce(p.refunded, 0) as refunded,
        coalesce(r.refund_recorded, 0) as refund_recorded,
        coalesce(f.not_moved, 0)
        + case
            when o.financial_status in ('paid', 'partially_refunded', 'refunded') then coalesce(r.returns_without_money, 0)
            else 0
        end as refund_not_moved,
        coalesce(p.foreign_transactions, 0) as foreign_transactions,
        jsonb_build_array(jsonb_build_array(o.event_source, o.event_id))
        || coalesce(p.events, '[]') || coalesce(r.events, '[]') || coalesce(f.events, '[]') as events
    from orders as o
    left join paid as p using (order_id)
    left join refunds as r using (order_id)
    left join failed as f using (order_id)
),

orphans as (
    select
        t.order_id,
        min(t.business_date) as business_date,
        t.currency,
        coalesce(sum(t.amount) filter (where t.kind <> 'refund'), 0) as captured,
        coalesce(sum(t.amount) filter (where t.kind = 'refund'), 0) as refunded,
        jsonb_agg(jsonb_build_array(t.event_source, t.event_id)) as events
    from transactions as t
    where t.status = 'success'
        and t.business_date > %(as_of)s::date - %(days)s::int
        and not exists (
            select 1
            from batuta_live.live_orders as o
            where o.product = %(product)s and o.order_id = t.order_id and not o.is_deleted
        )
    group by t.order_id, t.currency
)

select
    true as has_order, order_id, order_name, business_date, financial_status, is_cancelled, currency,
    round(total_price, 2) as total_price, round(captured, 2) as captured, round(refunded, 2) as refunded,
    round(refund_recorded, 2) as refund_recorded, round(refund_not_moved, 2) as refund_not_moved, foreign_transactions, events
from settled
where foreign_transactions > 0
    or captured > total_price
    or (captured <> total_price and financial_status in ('paid', 'partially_refunded', 'refunded'))
    or (captured > 0 and financial_status not in ('paid', 'partially_paid', 'partially_refunded', 'refunded'))
    or (captured > refunded and is_cancelled)
    or refunded > captured
    or refunded <> refund_recorded
    or refund_not_moved > 0
union all
select
    false, order_id, null, business_date, null, false, currency,
    0, round(captured, 2), round(refunded, 2), 0, 0, 0, events
from orphans
order by order_id, currency
