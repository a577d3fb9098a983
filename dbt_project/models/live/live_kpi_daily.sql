-- One row per product, day and KPI, as of the newest committed event.
{{ kpi_values(ref('live_product_daily')) }}
