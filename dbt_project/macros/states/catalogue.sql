{% macro catalogue_key() %}{{ return(['product', 'product_id']) }}{% endmacro %}

{# A deletion is final, whatever arrives after it. #}
{% macro catalogue_version() %}{{ return(['is_deleted', 'version_at', 'event_id']) }}{% endmacro %}

{# Newest state of each catalogue item among the events of a window. #}
{% macro catalogue_states(window) %}
    with versions as (
        select
            *,
            event_type = 'com.shopify.products.deleted' as is_deleted,
            coalesce(updated_at, event_time) as version_at
        from {{ ref('stg_shopify__products') }}
        where {{ window }}
    )

    select distinct on ({{ catalogue_key() | join(', ') }})
        product,
        product_id,
        title,
        vendor,
        product_type,
        status,
        tags,
        created_at,
        published_at,
        updated_at,
        is_deleted,
        version_at,
        event_source,
        event_id,
        received_at,
        batch
    from versions
    order by {{ newest_first(catalogue_key(), catalogue_version()) }}
{% endmacro %}
