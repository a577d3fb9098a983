-- One row per deployment, with what became of it.
{{ config(materialized='view') }}

{{ deployments_settled(ref('int_deployments_reported'), ref('int_deployment_statuses')) }}
