{% macro customer_merge_key() %}{{ return(['product', 'customer_key']) }}{% endmacro %}

{% macro customer_merge_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{#
  Newest merge of each customer that was merged away, among the events of a window. A merge that failed is none. Who was
  kept may have been merged away later: whoever follows a customer goes on until nobody is.
#}
{% macro customer_merge_states(window) %}
    select distinct on (product, deleted_id)
        product,
        deleted_id as customer_key,
        kept_id as kept_key,
        event_time as merged_at,
        event_time as version_at,
        event_source,
        event_id,
        received_at,
        batch
    from {{ ref('stg_shopify__customer_merges') }}
    where {{ window }} and lower(status) = 'completed'
    order by product, deleted_id, event_time desc, event_id collate "C" desc
{% endmacro %}
