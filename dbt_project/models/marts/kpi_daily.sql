-- One row per product, day and KPI.
{{ config(materialized='view') }}

{{ kpi_values(ref('fct_product_daily')) }}
