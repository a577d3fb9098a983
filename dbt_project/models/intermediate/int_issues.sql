-- One row per issue: its newest version, deleted and transferred ones as tombstones.
{{
    config(
        unique_key=issue_key(),
        pre_hook="{{ follow_time_zone('opened_on', 'created_at', {'closed_on': 'closed_at'}) }}",
        post_hook="{{ mark_read() }}",
        indexes=[{'columns': issue_key(), 'unique': true}, {'columns': ['batch']}],
    )
}}

{{ fold(issue_states(batches_of_this_run('int_issues')), issue_key(), issue_version()) }}
