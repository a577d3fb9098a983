-- One row per pair of currencies and day: the newest version of the rate.
{{
    config(
        unique_key=rate_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': rate_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(rate_states(batches_of_this_run('int_rates')), rate_key(), rate_version()) }}
