-- One row per deployment as of the newest committed event, with what became of it.
{% set reported -%}
    ({{ overlay(
        ref('int_deployments_reported'),
        deployment_states(batches_committed_unread_by('int_deployments_reported')),
        deployment_key(),
        deployment_version()
    ) }})
{%- endset %}

{{ deployments_settled(reported ~ ' as overlaid', ref('live_deployment_statuses')) }}
