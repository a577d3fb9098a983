-- One row per product and day, without gaps.
{% set forms = {
    'orders': ref('int_orders'),
    'transactions': ref('int_transactions'),
    'refunds': ref('int_refunds'),
    'spend': ref('int_spend'),
    'surveys': ref('int_surveys'),
    'pull_requests': ref('int_pull_requests'),
    'releases': ref('int_releases'),
} %}
{% set batch -%} (select coalesce(max(position.up_to), 0) from {{ ref('int_log_position') }} as position) {%- endset %}

{{ product_daily(forms, batch) }}
