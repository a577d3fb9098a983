{#
  What counts as sold and as bought. Every KPI takes its orders from here, in its mart form (from int_*) and in its
  live form (from live_*) alike. Each relation is named once, so that a live view reads it once.
#}

{#
  One row per order that exists: whether it is a sale (not test, not voided, in the product's own currency), whether it
  won its customer, when that customer was won, and the returns booked on it, each on its own day.

  A customer is won by the first order that was paid, neither test nor cancelled.
#}
{% macro order_facts(orders, transactions, refunds) -%}
    select
        facts.*,
        case
            when facts.customer_key is not null
                then min(facts.business_date) filter (where facts.wins_customers) over by_customer
        end as acquired_on,
        facts.wins_customers
        and facts.customer_key is not null
        and row_number() over (
            partition by facts.product, facts.customer_key, facts.wins_customers
            order by facts.business_date, facts.order_id
        ) = 1 as is_winning_order
    from (
        select
            orders.product,
            orders.order_id,
            orders.customer_key,
            orders.is_guest,
            orders.business_date,
            coalesce(orders.gross_sales, 0) as gross_sales,
            coalesce(orders.discounts, 0) as discounts,
            orders.received_at,
            not orders.is_test and not orders.is_voided
            and coalesce(orders.currency = {{ currency_of('products') }}, false) as is_sale,
            not orders.is_test and not orders.is_cancelled and paid.order_id is not null as wins_customers,
            coalesce(booked.returns, 0) as returns,
            booked.return_days,
            booked.return_amounts,
            booked.return_receipts
        from {{ orders }} as orders
        left join {{ ref('stg_registry__products') }} as products on orders.product = products.product
        left join (
            select
                transactions.product,
                transactions.order_id
            from {{ transactions }} as transactions
            where
                transactions.kind in ('sale', 'capture')
                and transactions.status = 'success'
                and not transactions.is_test
            group by transactions.product, transactions.order_id
        ) as paid on orders.product = paid.product and orders.order_id = paid.order_id
        left join (
            select
                refunds.product,
                refunds.order_id,
                sum(refunds.returns) as returns,
                array_agg(refunds.business_date) as return_days,
                array_agg(refunds.returns) as return_amounts,
                array_agg(refunds.received_at) as return_receipts
            from {{ refunds }} as refunds
            where not refunds.is_failed and refunds.business_date is not null and refunds.returns is not null
            group by refunds.product, refunds.order_id
        ) as booked on orders.product = booked.product and orders.order_id = booked.order_id
        where not orders.is_deleted and orders.business_date is not null
    ) as facts
    window by_customer as (partition by facts.product, facts.customer_key)
{%- endmacro %}
