-- One row per order and day on which it changes what its product counts.
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
{{ members_touched_since('int_order_changes') }},

{{ order_facts() }}
{%- endset %}

{{ record_changes('order', 'int_order_changes', ctes, orders_touched_since('int_order_changes'), order_changes()) }}
