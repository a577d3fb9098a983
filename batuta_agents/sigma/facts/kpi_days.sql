-- grain: one row per KPI and business day
-- units: the unit and currency of each row
-- relations: live_kpi_daily
-- filter: the days of the history up to the day; days without a value have a reason
select
    kpi, business_date, value, unit, currency, sample_size, low, high, basis, reason
from batuta_live.live_kpi_daily
where product = %(product)s
    and business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
order by kpi, business_date
