-- One row per review of a pull request: its newest version.
{{
    config(
        unique_key=review_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': review_key(), 'unique': true}],
    )
}}

{{ fold(review_states(batches_of_this_run('int_reviews')), review_key(), review_version()) }}
