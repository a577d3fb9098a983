{% macro refund_key() %}{{ return(['product', 'refund_id']) }}{% endmacro %}

{% macro refund_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{#
  Newest state of each refund among the events of a window, as the shop reported it: by the refund's own event and
  within every later version of its order. Returns are what was sold and came back: lines without gift cards, less
  the discrepancies Shopify books beside them. Refunded shipping and tax are not returns.
#}
{% macro refund_states(window) %}
    with versions as (
        select
            product, refund_id, order_id, created_at, processed_at, refund_line_items, order_adjustments, transactions,
            null::text as order_currency,
            event_time as version_at, event_source, event_id, received_at, batch
        from {{ ref('stg_shopify__refunds') }}
        where {{ window }}
        union all
        select
            orders.product, refund.id, coalesce(refund.order_id, orders.order_id), refund.created_at,
            refund.processed_at, refund.refund_line_items, refund.order_adjustments, refund.transactions,
            orders.currency,
            coalesce(orders.updated_at, orders.event_time),
            orders.event_source, orders.event_id, orders.received_at, orders.batch
        from {{ ref('stg_shopify__orders') }} as orders
        cross join lateral jsonb_to_recordset(orders.refunds) as refund (
            id text, order_id text, created_at timestamptz, processed_at timestamptz,
            refund_line_items jsonb, order_adjustments jsonb, transactions jsonb
        )
        where {{ window }}
    ),

    newest as (
        select distinct on ({{ refund_key() | join(', ') }}) *
        from versions
        where refund_id is not null
        order by {{ newest_first(refund_key(), refund_version()) }}
    )

    select
        newest.product,
        newest.refund_id,
        newest.order_id,
        coalesce(newest.processed_at, newest.created_at) as refunded_at,
        {{ business_date('coalesce(newest.processed_at, newest.created_at)', 'products') }} as business_date,
        {{ money('goods.subtotal - corrections.discrepancy') }} as returns,
        money.transaction_ids,
        coalesce(money.currency, newest.order_currency) as currency,
        {{ zone_of('products') }} as time_zone,
        newest.version_at,
        newest.event_source,
        newest.event_id,
        newest.received_at,
        newest.batch
    from newest
    left join {{ ref('stg_registry__products') }} as products on newest.product = products.product
    cross join lateral (
        select coalesce(sum(line.subtotal), 0) as subtotal
        from jsonb_to_recordset(newest.refund_line_items) as line (subtotal numeric, line_item jsonb)
        where coalesce((line.line_item ->> 'gift_card')::boolean, false) is not true
    ) as goods
    cross join lateral (
        select coalesce(sum(adjustment.amount), 0) as discrepancy
        from jsonb_to_recordset(newest.order_adjustments) as adjustment (kind text, amount numeric)
        where adjustment.kind = 'refund_discrepancy'
    ) as corrections
    cross join lateral (
        select
            coalesce(array_agg(told.id order by told.id), '{}') as transaction_ids,
            min(told.currency) as currency
        from jsonb_to_recordset(newest.transactions) as told (id text, kind text, currency text)
        where told.kind = 'refund'
    ) as money
{% endmacro %}

{#
  One row per refund with what became of its money. A refund whose transactions all failed moved nothing and is not
  booked; which state its transactions are in is known from the transactions, not from the refund's own account.
#}
{% macro refunds_settled(refunds, transactions) %}
select
    refunds.product,
    refunds.refund_id,
    refunds.order_id,
    refunds.refunded_at,
    refunds.business_date,
    refunds.returns,
    {{ money("coalesce(
        sum(transactions.amount) filter (where transactions.status = 'success' and not transactions.is_test), 0
    )") }} as refund_total,
    coalesce(bool_and(transactions.status in ('failure', 'error')), false) as is_failed,
    refunds.currency,
    refunds.event_source,
    refunds.event_id,
    refunds.received_at,
    refunds.batch
from {{ refunds }} as refunds
left join lateral unnest(refunds.transaction_ids) as told (transaction_id) on true
left join {{ transactions }} as transactions
    on
        refunds.product = transactions.product
        and told.transaction_id = transactions.transaction_id
        and refunds.order_id is not distinct from transactions.order_id
group by
    refunds.product, refunds.refund_id, refunds.order_id, refunds.refunded_at, refunds.business_date, refunds.returns,
    refunds.currency, refunds.event_source, refunds.event_id, refunds.received_at, refunds.batch
{% endmacro %}
