-- One row per respondent and day on which the answer that counts changes.
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
{{ respondents_touched_since('int_survey_changes') }}
{%- endset %}

{{ record_changes('survey', 'int_survey_changes', ctes, respondent_entities(), survey_changes()) }}
