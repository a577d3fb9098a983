-- One row per repository and day on which something is merged or released.
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
{{ repositories_touched_since('int_delivery_changes') }}
{%- endset %}

{{ record_changes('delivery', 'int_delivery_changes', ctes, repository_entities(), delivery_changes()) }}
