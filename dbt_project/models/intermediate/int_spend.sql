-- One row per spend: its newest version.
{{
    config(
        unique_key=spend_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': spend_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(spend_states(batches_of_this_run('int_spend')), spend_key(), spend_version()) }}
