{% macro order_key() %}{{ return(['product', 'order_id']) }}{% endmacro %}

{# A deletion is final, whatever arrives after it: identifiers are not used again. #}
{% macro order_version() %}{{ return(['is_deleted', 'version_at', 'event_id']) }}{% endmacro %}

{#
  Newest state of each order among the events of a window. Gift cards are a liability until redeemed: their lines
  are in no sales figure. Discounts are the allocations to the lines, the only place where Shopify keeps them right.
#}
{% macro order_states(window) %}
    with versions as (
        select
            *,
            event_type = 'com.shopify.orders.deleted' as is_deleted,
            coalesce(updated_at, event_time) as version_at
        from {{ ref('stg_shopify__orders') }}
        where {{ window }}
    ),

    newest as (
        select distinct on ({{ order_key() | join(', ') }}) *
        from versions
        order by {{ newest_first(order_key(), order_version()) }}
    )

    select
        newest.product,
        newest.order_id,
        newest.order_name,
        coalesce(newest.customer_id, newest.email, newest.contact_email, newest.customer_email) as customer_key,
        newest.customer_id is null as is_guest,
        coalesce(newest.processed_at, newest.created_at) as processed_at,
        newest.created_at,
        newest.updated_at,
        newest.cancelled_at,
        newest.cancelled_at is not null as is_cancelled,
        coalesce(newest.financial_status = 'voided', false) as is_voided,
        coalesce(newest.is_test, false) as is_test,
        newest.is_deleted,
        newest.financial_status,
        newest.currency,
        {{ business_date('coalesce(newest.processed_at, newest.created_at)', 'products') }} as business_date,
        {{ money('sales.gross_sales') }} as gross_sales,
        {{ money('sales.discounts') }} as discounts,
        {{ money('newest.total_price') }} as total_price,
        sales.line_count::integer as line_count,
        newest.line_items,
        {{ zone_of('products') }} as time_zone,
        newest.version_at,
        newest.event_source,
        newest.event_id,
        newest.received_at,
        newest.batch
    from newest
    left join {{ ref('stg_registry__products') }} as products on newest.product = products.product
    cross join lateral (
        select
            count(*) as line_count,
            coalesce(sum(line.price * line.quantity) filter (where line.gift_card is not true), 0) as gross_sales,
            coalesce(sum(allocated.discount) filter (where line.gift_card is not true), 0) as discounts
        from jsonb_to_recordset(newest.line_items) as line (
            price numeric, quantity numeric, gift_card boolean, discount_allocations jsonb
        )
        cross join lateral (
            select coalesce(sum(allocation.amount), 0) as discount
            from jsonb_to_recordset(line.discount_allocations) as allocation (amount numeric)
        ) as allocated
    ) as sales
{% endmacro %}

{# One row per line of each order that exists, out of the orders' newest states. #}
{% macro order_lines(orders) %}
select
    orders.product,
    orders.order_id,
    line.id as line_id,
    line.product_id,
    line.sku,
    line.title,
    line.quantity::integer as quantity,
    {{ money('line.price') }} as price,
    {{ money('allocated.discount') }} as discount,
    coalesce(line.gift_card, false) as is_gift_card,
    orders.business_date,
    orders.batch
from {{ orders }} as orders
cross join lateral jsonb_to_recordset(orders.line_items) as line (
    id text,
    product_id text,
    sku text,
    title text,
    quantity numeric,
    price numeric,
    gift_card boolean,
    discount_allocations jsonb
)
cross join lateral (
    select coalesce(sum(allocation.amount), 0) as discount
    from jsonb_to_recordset(line.discount_allocations) as allocation (amount numeric)
) as allocated
where not orders.is_deleted
{% endmacro %}
