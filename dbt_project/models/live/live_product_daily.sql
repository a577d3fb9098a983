-- One row per product and day, without gaps, as of the newest committed event.
{% set forms = {
    'orders': ref('live_orders'),
    'transactions': ref('live_transactions'),
    'refunds': ref('live_refunds'),
    'spend': ref('live_spend'),
    'surveys': ref('live_surveys'),
    'pull_requests': ref('live_pull_requests'),
    'releases': ref('live_releases'),
} %}
{% set batch -%} (select coalesce(max(batches.batch), 0) from {{ ref('stg_registry__batches') }} as batches) {%- endset %}

{{ product_daily(forms, batch) }}
