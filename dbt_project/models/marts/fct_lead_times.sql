-- One row per merged pull request that counts, with the release that brought it out, if there is one.
-- depends_on: {{ ref('int_settings') }}
{{
    config(
        pre_hook="{{ forget_touched_repositories('fct_lead_times') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'repository_id', 'number'], 'unique': true},
            {'columns': ['product', 'released_on']},
        ],
    )
}}

with {{ repositories_touched_since('fct_lead_times') }}

select {{ lead_time_columns('lead_times') }}
from lead_times
