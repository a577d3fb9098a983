-- One row per issue and day on which it is opened or closed.
-- depends_on: {{ ref('int_settings') }}
{{
    config(
        unique_key=['product', 'entity', 'business_date'],
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'entity', 'business_date'], 'unique': true},
            {'columns': ['product', 'business_date']},
            {'columns': ['refresh']},
        ],
    )
}}

{% set ctes -%}
{{ issues_touched_since('int_issue_changes') }}
{%- endset %}

{{ record_changes('issue', 'int_issue_changes', ctes, issue_entities(), issue_changes()) }}
