-- One row per spend and day on which it changes what its product spends a day.
-- depends_on: {{ ref('int_settings') }}
-- depends_on: {{ ref('int_rates') }}
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
{{ spends_touched_since('int_spend_changes') }}
{%- endset %}

{{ record_changes('spend', 'int_spend_changes', ctes, spend_entities(), spend_changes()) }}
