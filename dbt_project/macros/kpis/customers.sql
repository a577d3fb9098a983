{# One row per customer (guests by e-mail) with at least one order that counts as a sale or as bought. #}
{% macro customers(orders, transactions, refunds) %}
with bought as (
    select
        sales.product,
        sales.customer_key,
        bool_and(sales.is_guest) as is_guest,
        min(sales.business_date) as first_order_date,
        max(sales.business_date) as last_order_date,
        count(*)::integer as orders,
        count(distinct sales.business_date)::integer as purchase_days,
        sum(sales.gross_sales - sales.discounts) as sales
    from ({{ sales_orders(orders) }}) as sales
    where sales.customer_key is not null
    group by sales.product, sales.customer_key
),

returned as (
    select
        movements.product,
        movements.customer_key,
        sum(movements.returns) as returns
    from ({{ sales_movements(orders, refunds) }}) as movements
    where movements.customer_key is not null
    group by movements.product, movements.customer_key
),

acquired as (
    {{ acquired_customers(orders, transactions) }}
)

select
    bought.product,
    bought.customer_key,
    bought.is_guest,
    bought.first_order_date,
    acquired.acquired_on,
    bought.last_order_date,
    bought.orders,
    bought.purchase_days,
    {{ money('bought.sales') }} as sales,
    {{ money('returned.returns') }} as returns,
    {{ money('bought.sales - returned.returns') }} as net_sales,
    {{ money('round(bought.sales / bought.orders, 2)') }} as average_order_value
from bought
inner join returned on bought.product = returned.product and bought.customer_key = returned.customer_key
left join acquired on bought.product = acquired.product and bought.customer_key = acquired.customer_key
{% endmacro %}
