-- One row per product, month and KPI.
{{ config(materialized='view') }}

{{ kpi_periods(ref('kpi_daily'), 'month') }}
