-- One row per incident, with the release it came after, if there is one, and how long it took to be over.
-- depends_on: {{ ref('int_settings') }}
{{
    config(
        pre_hook="{{ forget_touched_repositories('fct_incidents') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'repository_id', 'number'], 'unique': true},
            {'columns': ['product', 'closed_on']},
        ],
    )
}}

with {{ repositories_touched_since('fct_incidents') }}

select {{ incident_columns('incidents') }}
from incidents
