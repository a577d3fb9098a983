{#
  What counts as sold and as bought. Every KPI takes its orders from here, in its mart form (from int_*) and in its
  live form (from live_*) alike.
#}

{# Orders that are sales: not test, not voided, not deleted, and in the product's own currency. #}
{% macro sales_orders(orders) -%}
    select
        orders.product,
        orders.order_id,
        orders.customer_key,
        orders.is_guest,
        orders.business_date,
        coalesce(orders.gross_sales, 0) as gross_sales,
        coalesce(orders.discounts, 0) as discounts,
        orders.received_at
    from {{ orders }} as orders
    left join {{ ref('stg_registry__products') }} as products on orders.product = products.product
    where
        not orders.is_deleted
        and not orders.is_test
        and not orders.is_voided
        and orders.business_date is not null
        and orders.currency = {{ currency_of('products') }}
{%- endmacro %}

{# Day on which each customer was won: that of the first order that was paid, neither test nor cancelled. #}
{% macro acquired_customers(orders, transactions) -%}
    select
        orders.product,
        orders.customer_key,
        min(orders.business_date) as acquired_on
    from {{ orders }} as orders
    where
        orders.customer_key is not null
        and not orders.is_deleted
        and not orders.is_test
        and not orders.is_cancelled
        and exists (
            select 1
            from {{ transactions }} as transactions
            where
                transactions.product = orders.product
                and transactions.order_id = orders.order_id
                and transactions.kind in ('sale', 'capture')
                and transactions.status = 'success'
                and not transactions.is_test
        )
    group by orders.product, orders.customer_key
{%- endmacro %}

{# Each sale on its day, and each booked return on its own. #}
{% macro sales_movements(orders, refunds) -%}
    select
        sales.product,
        sales.customer_key,
        sales.business_date,
        1 as orders,
        sales.gross_sales,
        sales.discounts,
        0 as returns,
        sales.received_at
    from ({{ sales_orders(orders) }}) as sales
    union all
    select
        sales.product,
        sales.customer_key,
        refunds.business_date,
        0 as orders,
        0 as gross_sales,
        0 as discounts,
        coalesce(refunds.returns, 0) as returns,
        refunds.received_at
    from {{ refunds }} as refunds
    inner join ({{ sales_orders(orders) }}) as sales
        on refunds.product = sales.product and refunds.order_id = sales.order_id
    where not refunds.is_failed and refunds.business_date is not null
{%- endmacro %}
