-- One row per catalogue item: its newest version, deleted ones as tombstones.
{{
    config(
        unique_key=catalogue_key(),
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': catalogue_key(), 'unique': true}],
    )
}}

{{ fold(catalogue_states(batches_of_this_run('int_products')), catalogue_key(), catalogue_version()) }}
