-- One row per release: its newest version, deleted ones as tombstones.
{{
    config(
        unique_key=release_key(),
        pre_hook="{{ follow_time_zone('released_on', 'released_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': release_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(release_states(batches_of_this_run('int_releases')), release_key(), release_version()) }}
