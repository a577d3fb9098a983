-- One row per refund, with what became of its money.
{{ config(materialized='view') }}

{{ refunds_settled(ref('int_refunds_reported'), ref('int_transactions')) }}
