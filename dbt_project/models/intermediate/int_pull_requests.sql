-- One row per pull request: its newest version.
{{
    config(
        unique_key=pull_request_key(),
        pre_hook="{{ follow_time_zone('merged_on', 'merged_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': pull_request_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(pull_request_states(batches_of_this_run('int_pull_requests')), pull_request_key(), pull_request_version()) }}
