-- grain: one row per KPI and business day
-- units: the unit and currency of each row
-- relations: live_kpi_daily, dim_kpis
-- filter: the days of the history up to the day; days without a value have a reason
select
    k.kpi, k.business_date, k.value, k.unit, k.currency, k.sample_size, k.low, k.high, k.basis, k.reason,
    d.title_en, d.title_pt, d.direction, d.is_headline, d.time_window
from batuta_live.live_kpi_daily as k
inner join batuta_marts.dim_kpis as d using (kpi)
where k.product = %(product)s
    and k.business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
order by d.position, k.business_date
