-- One row per product, ISO week and KPI.
{{ config(materialized='view') }}

{{ kpi_periods(ref('kpi_daily'), 'week') }}
