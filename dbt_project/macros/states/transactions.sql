{% macro transaction_key() %}{{ return(['product', 'transaction_id']) }}{% endmacro %}

{% macro transaction_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{% macro transaction_fields() -%}
    id text, order_id text, parent_id text, kind text, status text, gateway text, amount numeric, currency text,
    test boolean, created_at timestamptz, processed_at timestamptz
{%- endmacro %}

{#
  Newest state of each transaction among the events of a window. A transaction is told of by its own event, within its
  refund, and within every later version of its order; the moment of the telling decides which one holds.
#}
{% macro transaction_states(window) %}
    with versions as (
        select
            product, transaction_id, order_id, parent_id, kind, status, gateway, amount, currency, is_test,
            coalesce(processed_at, created_at) as processed_at,
            event_time as version_at, event_source, event_id, received_at, batch
        from {{ ref('stg_shopify__order_transactions') }}
        where {{ window }}
        union all
        select
            refunds.product, told.id, coalesce(told.order_id, refunds.order_id), told.parent_id, told.kind, told.status,
            told.gateway, told.amount, told.currency, told.test,
            coalesce(told.processed_at, told.created_at, refunds.processed_at, refunds.created_at),
            refunds.event_time, refunds.event_source, refunds.event_id, refunds.received_at, refunds.batch
        from {{ ref('stg_shopify__refunds') }} as refunds
        cross join lateral jsonb_to_recordset(refunds.transactions) as told ({{ transaction_fields() }})
        where {{ window }}
        union all
        select
            orders.product, told.id, coalesce(told.order_id, orders.order_id), told.parent_id, told.kind, told.status,
            told.gateway, told.amount, told.currency, told.test,
            coalesce(told.processed_at, told.created_at, refund.processed_at, refund.created_at),
            coalesce(orders.updated_at, orders.event_time),
            orders.event_source, orders.event_id, orders.received_at, orders.batch
        from {{ ref('stg_shopify__orders') }} as orders
        cross join lateral jsonb_to_recordset(orders.refunds) as refund (
            transactions jsonb, created_at timestamptz, processed_at timestamptz
        )
        cross join lateral jsonb_to_recordset(refund.transactions) as told ({{ transaction_fields() }})
        where {{ window }}
    ),

    newest as (
        select distinct on ({{ transaction_key() | join(', ') }}) *
        from versions
        where transaction_id is not null
        order by {{ newest_first(transaction_key(), transaction_version()) }}
    )

    select
        newest.product,
        newest.transaction_id,
        newest.order_id,
        newest.parent_id,
        newest.kind,
        newest.status,
        newest.gateway,
        {{ money('newest.amount') }} as amount,
        newest.currency,
        coalesce(newest.is_test, false) as is_test,
        newest.processed_at,
        {{ business_date('newest.processed_at', 'products') }} as business_date,
        {{ zone_of('products') }} as time_zone,
        newest.version_at,
        newest.event_source,
        newest.event_id,
        newest.received_at,
        newest.batch
    from newest
    left join {{ ref('stg_registry__products') }} as products on newest.product = products.product
{% endmacro %}
