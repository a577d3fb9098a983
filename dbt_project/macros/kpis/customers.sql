{# One row per customer (guests by e-mail) with at least one order that counts as a sale, out of rows of fct_orders. #}
{% macro customers(orders) %}
select
    facts.product,
    facts.customer_key,
    bool_and(facts.is_guest) as is_guest,
    min(facts.business_date) as first_order_date,
    min(facts.acquired_on) as acquired_on,
    max(facts.business_date) as last_order_date,
    count(*)::integer as orders,
    count(distinct facts.business_date)::integer as purchase_days,
    {{ money('sum(facts.own_gross_sales - facts.own_discounts)') }} as sales,
    {{ money('sum(facts.own_returns)') }} as returns,
    {{ money('sum(facts.own_gross_sales - facts.own_discounts - facts.own_returns)') }} as net_sales,
    {{ money('round(sum(facts.own_gross_sales - facts.own_discounts) / count(*), 2)') }} as average_order_value
from {{ orders }} as facts
where facts.is_sale and facts.customer_key is not null
group by facts.product, facts.customer_key
{% endmacro %}
