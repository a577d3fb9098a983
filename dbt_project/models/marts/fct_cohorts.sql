-- One row per product, cohort and month since: customers by the month of their first order, and what became of them.
-- Cohorts hold acquired customers. Months are the product's; the one its series stands in is not over: its figures
-- would only be low, and are NULL.
{{ config(materialized='view') }}

with customers as (
    select
        product,
        customer_key,
        date_trunc('month', first_order_date)::date as cohort_month
    from {{ ref('dim_customers') }}
    where acquired_on is not null
),

series as (
    select
        product,
        max(currency) as currency,
        date_trunc('month', max(business_date))::date as current_month
    from {{ ref('fct_product_daily') }}
    group by product
),

months as (
    select
        customers.product,
        customers.cohort_month,
        greatest({{ months_between('customers.cohort_month', 'changes.business_date') }}, 0) as month_offset,
        count(distinct customers.customer_key) filter (where changes.orders > 0) as active_customers,
        sum(changes.orders) as orders,
        sum(changes.gross_sales - changes.discounts - changes.returns) as net_sales
    from customers
    inner join {{ ref('fct_orders') }} as orders
        on customers.product = orders.product and customers.customer_key = orders.customer_key
    inner join {{ ref('int_order_changes') }} as changes
        on orders.product = changes.product and orders.order_id = changes.entity
    where orders.is_sale
    group by customers.product, customers.cohort_month, month_offset
),

cohorts as (
    select
        product,
        cohort_month,
        count(*) as customers
    from customers
    group by product, cohort_month
),

spine as (
    select
        cohorts.product,
        cohorts.cohort_month,
        month.month_offset,
        cohorts.customers,
        series.currency,
        month.month_offset < {{ months_between('cohorts.cohort_month', 'series.current_month') }} as is_complete
    from cohorts
    inner join series on cohorts.product = series.product
    cross join lateral generate_series(
        0, {{ months_between('cohorts.cohort_month', 'series.current_month') }}
    ) as month (month_offset)
)

select
    spine.product,
    spine.cohort_month,
    spine.month_offset,
    spine.customers::integer as customers,
    case when spine.is_complete then coalesce(months.active_customers, 0) end::integer as active_customers,
    case when spine.is_complete then coalesce(months.orders, 0) end::integer as orders,
    {{ money('case when spine.is_complete then coalesce(months.net_sales, 0) end') }} as net_sales,
    {{ money('case when spine.is_complete then sum(coalesce(months.net_sales, 0)) over so_far end') }}
        as cumulative_net_sales,
    spine.currency,
    spine.is_complete
from spine
left join months
    on
        spine.product = months.product
        and spine.cohort_month = months.cohort_month
        and spine.month_offset = months.month_offset
window so_far as (partition by spine.product, spine.cohort_month order by spine.month_offset)
