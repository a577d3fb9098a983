-- One row per deployment: its newest version, whatever event told of it; without its statuses.
{{
    config(
        unique_key=deployment_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': deployment_key(), 'unique': true}],
    )
}}

{{ fold(deployment_states(batches_of_this_run('int_deployments_reported')), deployment_key(), deployment_version()) }}
