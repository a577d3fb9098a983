-- One row per status of a deployment as of the newest committed event.
{{ overlay(
    ref('int_deployment_statuses'), deployment_status_states(batches_committed_unread_by('int_deployment_statuses')), deployment_status_key(), deployment_status_version()
) }}
