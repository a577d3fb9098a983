-- grain: one row per event behind one KPI's value of one day
-- units: none
-- relations: live_orders, live_refunds, live_customers, live_spend, live_surveys, live_invitations, live_pull_requests, live_releases, live_issues
-- filter: what the KPI's definition counts on that day or in its window
select event_source as source, event_id as id
from batuta_live.live_orders
where %(kpi)s::text in (
        'net_sales', 'orders', 'average_order_value', 'refund_rate', 'active_customers', 'payback'
    )
    and product = %(product)s and currency = %(currency)s
    and business_date <= %(day)s::date
    and business_date > %(day)s::date - case when %(kpi)s::text in ('net_sales', 'orders') then 1 else 90 end
    and (%(kpi)s::text <> 'active_customers' or customer_key is not null)
    and not is_test and not is_voided and not is_deleted
union
select r.event_source, r.event_id
from batuta_live.live_refunds as r
inner join batuta_live.live_orders as o on o.product = r.product and o.order_id = r.order_id
where %(kpi)s::text in ('net_sales', 'refund_rate', 'payback')
    and r.product = %(product)s and o.currency = %(currency)s
    and r.business_date <= %(day)s::date
    and r.business_date > %(day)s::date - case when %(kpi)s::text = 'net_sales' then 1 else 90 end
    and not r.is_failed and not o.is_test and not o.is_voided and not o.is_deleted
union
select o.event_source, o.event_id
from batuta_live.live_customers as c
inner join batuta_live.live_orders as o
    on o.product = c.product and o.customer_key = c.customer_key and o.business_date = c.acquired_on
where %(kpi)s::text in ('new_customers', 'CAC', 'CAC_paid', 'LTV_CAC', 'payback')
    and c.product = %(product)s
    and c.acquired_on <= %(day)s::date
    and c.acquired_on > %(day)s::date - case when %(kpi)s::text = 'new_customers' then 1 else 90 end
    and not o.is_test and not o.is_cancelled and not o.is_deleted
union
select event_source, event_id
from batuta_live.live_spend
where %(kpi)s::text in ('CAC', 'CAC_paid', 'LTV_CAC', 'payback')
    and product = %(product)s and period_start <= %(day)s::date and period_end > %(day)s::date - 90
union
select o.event_source, o.event_id
from batuta_live.live_orders as o
inner join batuta_live.live_customers as c on c.product = o.product and c.customer_key = o.customer_key
where %(kpi)s::text in ('LTV', 'LTV_CAC', 'repeat_rate', 'predicted_LTV')
    and o.product = %(product)s and o.business_date <= %(day)s::date and c.acquired_on <= %(day)s::date
    and not o.is_test and not o.is_voided and not o.is_deleted
union
select r.event_source, r.event_id
from batuta_live.live_refunds as r
inner join batuta_live.live_orders as o on o.product = r.product and o.order_id = r.order_id
inner join batuta_live.live_customers as c on c.product = o.product and c.customer_key = o.customer_key
where %(kpi)s::text in ('LTV', 'LTV_CAC', 'predicted_LTV')
    and r.product = %(product)s and r.business_date <= %(day)s::date and c.acquired_on <= %(day)s::date
    and not o.is_test and not o.is_voided and not o.is_deleted and not r.is_failed
union
select event_source, event_id
from batuta_live.live_surveys
where %(kpi)s::text in ('NPS', 'response_rate')
    and product = %(product)s and business_date <= %(day)s::date and business_date > %(day)s::date - 90
union
select event_source, event_id
from batuta_live.live_invitations
where %(kpi)s::text = 'response_rate'
    and product = %(product)s and business_date <= %(day)s::date and business_date > %(day)s::date - 90
union
select event_source, event_id
from batuta_live.live_releases
where %(kpi)s::text in ('deployment_frequency', 'change_failure_rate')
    and product = %(product)s and released_on <= %(day)s::date and released_on > %(day)s::date - 90
    and not is_draft and not is_prerelease and not is_deleted
union
select event_source, event_id
from batuta_live.live_issues
where product = %(product)s and not is_deleted
    and opened_on <= %(day)s::date
    and case %(kpi)s::text
        when 'open_issues' then closed_on is null or closed_on > %(day)s::date
        when 'change_failure_rate' then is_incident and opened_on > %(day)s::date - 90
        when 'restore_time' then is_incident and closed_on <= %(day)s::date and closed_on > %(day)s::date - 90
    end
union
select behind.event_source, behind.event_id
from batuta_live.live_pull_requests as p
cross join lateral (
    select r.event_source, r.event_id, r.released_on
    from batuta_live.live_releases as r
    where r.product = p.product
        and r.repository_id = p.repository_id
        and r.released_at >= p.merged_at
        and not r.is_draft and not r.is_prerelease and not r.is_deleted
    order by r.released_at, r.release_id
    limit 1
) as shipped
cross join lateral (
    values (p.event_source, p.event_id), (shipped.event_source, shipped.event_id)
) as behind (event_source, event_id)
where %(kpi)s::text = 'leadTime'
    and p.product = %(product)s
    and p.merged_at is not null and not p.is_bot and p.base_ref = p.default_branch
    and shipped.released_on between %(day)s::date - 89 and %(day)s::date
order by source, id
