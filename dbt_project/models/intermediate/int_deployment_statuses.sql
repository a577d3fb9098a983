-- One row per status of a deployment: its newest version.
{{
    config(
        unique_key=deployment_status_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': deployment_status_key(), 'unique': true}],
    )
}}

{{ fold(
    deployment_status_states(batches_of_this_run('int_deployment_statuses')), deployment_status_key(), deployment_status_version()
) }}
