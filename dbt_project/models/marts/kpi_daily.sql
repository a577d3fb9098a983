-- One row per product, day and KPI.
{{ kpi_values(ref('fct_product_daily')) }}
