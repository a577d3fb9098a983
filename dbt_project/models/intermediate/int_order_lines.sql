-- One row per line of each order that exists.
{{ config(materialized='view') }}

{{ order_lines(ref('int_orders')) }}
