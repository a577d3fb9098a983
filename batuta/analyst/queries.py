"""The queries behind the frames, each with its columns in order and what they hold.

Over the marts, the log and the registry, as the reader sees them. `product` and other lists are NULL for all.
"""

from collections.abc import Mapping
from typing import Final

from batuta.analyst.frames import Kind

KPI_COLUMNS: Final[Mapping[str, Kind]] = {
    "product": "category",
    "kpi": "category",
    "period": "day",
    "business_date": "day",
    "value": "exact",
    "unit": "category",
    "currency": "category",
    "numerator": "exact",
    "denominator": "exact",
    "sample_size": "count",
    "low": "exact",
    "high": "exact",
    "basis": "category",
    "reason": "text",
    "batch": "count",
}

KPIS: Final = """
with chosen as (
    select k.*, date_trunc(%(grain)s, k.business_date::timestamp)::date as period
    from {relation} as k
    where
        (%(product)s::text[] is null or k.product = any(%(product)s))
        and (%(kpi)s::text[] is null or k.kpi = any(%(kpi)s))
        and k.business_date >= coalesce(%(since)s::date, '-infinity')
        and k.business_date <= coalesce(%(until)s::date, %(as_of)s::date, 'infinity')
)
-- As of a day there is one period, and its last day is the one wanted.
select distinct on (product, kpi, case when %(as_of)s::date is null then period end)
    product, kpi, period, business_date, value, unit, currency, numerator, denominator, sample_size, low, high, basis,
    reason, batch
from chosen
order by product, kpi, case when %(as_of)s::date is null then period end, business_date desc
"""

COHORT_COLUMNS: Final[Mapping[str, Kind]] = {
    "product": "category",
    "cohort_month": "day",
    "month_offset": "count",
    "customers": "count",
    "active_customers": "count",
    "retention": "percent",
    "orders": "count",
    "net_sales": "exact",
    "cumulative_net_sales": "exact",
    "cumulative_net_sales_per_customer": "exact",
    "currency": "category",
    "is_complete": "flag",
}

COHORTS: Final = """
select
    product, cohort_month, month_offset, customers, active_customers,
    100.0 * active_customers / customers,
    orders, net_sales, cumulative_net_sales,
    round(cumulative_net_sales / customers, 4),
    currency, is_complete
from batuta_marts.fct_cohorts
where
    (%(product)s::text[] is null or product = any(%(product)s))
    and cohort_month >= coalesce(date_trunc('month', %(since)s::date::timestamp)::date, '-infinity')
    and cohort_month <= coalesce(%(until)s::date, 'infinity')
order by product, cohort_month, month_offset
"""

REPEAT_COLUMNS: Final[Mapping[str, Kind]] = {
    "product": "category",
    "since": "day",
    "until": "day",
    "customers": "count",
    "repeat_customers": "count",
    "repeat_rate": "percent",
}

REPEAT_RATE: Final = """
with series as (
    select product, min(business_date) as first_day, max(business_date) as last_day
    from batuta_marts.fct_product_daily group by product
),
windows as (
    select
        product,
        coalesce(%(since)s::date, first_day) as since,
        coalesce(%(until)s::date, last_day) as until
    from series
    where %(product)s::text[] is null or product = any(%(product)s)
),
customers as (
    select windows.product, windows.since, windows.until, purchases.customer_key, count(*) as days
    from windows
    inner join batuta_marts.fct_customer_purchases as purchases
        on purchases.product = windows.product and purchases.business_date between windows.since and windows.until
    group by windows.product, windows.since, windows.until, purchases.customer_key
)
select
    product, since, until, count(*), count(*) filter (where days > 1),
    100.0 * count(*) filter (where days > 1) / count(*)
from customers
group by product, since, until
order by product
"""

PREDICTED_COLUMNS: Final[Mapping[str, Kind]] = {
    "product": "category",
    "as_of": "day",
    "horizon_days": "count",
    "value": "exact",
    "low": "exact",
    "high": "exact",
    "currency": "category",
    "customers": "count",
    "repeat_customers": "count",
    "discount_rate": "exact",
    "reason": "text",
    "method": "category",
}

PREDICTED: Final = """
select
    product, as_of, horizon_days, value, low, high, currency, customers, repeat_customers, discount_rate, reason, method
from batuta_marts.fct_ltv_predictions
where
    (%(product)s::text[] is null or product = any(%(product)s))
    and as_of between coalesce(%(since)s::date, '-infinity') and coalesce(%(until)s::date, 'infinity')
order by product, as_of, horizon_days
"""

EVENT_COLUMNS: Final[Mapping[str, Kind]] = {
    "batch": "count",
    "received_at": "moment",
    "time": "moment",
    "business_date": "day",
    "product": "category",
    "connector": "category",
    "dataset": "category",
    "type": "category",
    "source": "text",
    "id": "text",
    "subject": "text",
    "data": "object",
}

EVENTS: Final = """
with dated as (
    select
        events.batch, events.received_at, events.key, events.time, events.product, events.connector, events.dataset,
        events.type, events.source, events.id, events.subject, events.data,
        (events.time at time zone coalesce(products.timezone, 'UTC'))::date as business_date
    from batuta.events as events
    left join batuta.products as products on events.product = products.product
),
chosen as (
    select * from dated
    where
        (%(product)s::text[] is null or product = any(%(product)s))
        and (%(types)s::text[] is null or type = any(%(types)s) or type like any(%(families)s::text[]))
        and business_date between coalesce(%(since)s::date, '-infinity') and coalesce(%(until)s::date, 'infinity')
    order by batch desc, received_at desc, key desc
    limit %(limit)s
)
select batch, received_at, time, business_date, product, connector, dataset, type, source, id, subject, data
from chosen
order by batch, received_at, key
"""

FACT_COLUMNS: Final[Mapping[str, Kind]] = {
    "product": "category",
    "skill": "category",
    "as_of": "day",
    "name": "category",
    "value": "object",
    "unit": "category",
    "id": "text",
    "skill_run": "text",
    "finished_at": "moment",
}

FACTS: Final = """
with runs as (
    select
        id, product, skill, as_of, finished_at,
        row_number() over (partition by product, skill, as_of order by started_at desc, id desc) as place
    from batuta.skill_runs
    where
        status = 'ok'
        and (%(product)s::text[] is null or product = any(%(product)s))
        and (%(skill)s::text[] is null or skill = any(%(skill)s))
        and as_of between coalesce(%(since)s::date, '-infinity') and coalesce(%(until)s::date, 'infinity')
)
select runs.product, runs.skill, runs.as_of, facts.name, facts.value, facts.unit, facts.id, runs.id, runs.finished_at
from runs
inner join batuta.facts as facts on facts.skill_run = runs.id
where (%(every_run)s or runs.place = 1) and (%(name)s::text[] is null or facts.name = any(%(name)s))
order by runs.product, runs.skill, runs.as_of, runs.finished_at, facts.name
"""
