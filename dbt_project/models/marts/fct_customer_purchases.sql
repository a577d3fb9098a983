-- One row per customer and day with a purchase. What a customer was worth as of any day is a sum over the rows up to
-- it: frequency is their number less one, recency the last day since the first, monetary the mean of the repeat days.
{{
    config(
        pre_hook="{{ forget_touched_customers('fct_customer_purchases') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'customer_key', 'business_date'], 'unique': true},
            {'columns': ['product', 'business_date']},
        ],
    )
}}

with {{ orders_of_touched_customers('fct_customer_purchases') }},

days as (
    select
        product,
        customer_key,
        business_date,
        count(*)::integer as orders,
        sum(own_gross_sales - own_discounts) as sales,
        sum(own_returns) as returns
    from orders_of_customers
    where is_sale and customer_key is not null
    group by product, customer_key, business_date
)

select
    product,
    customer_key,
    business_date,
    row_number() over by_day::integer as purchase_day,
    business_date - first_value(business_date) over by_day as days_since_first,
    business_date - lag(business_date) over by_day as days_since_previous,
    orders,
    {{ money('sales') }} as sales,
    {{ money('returns') }} as returns
from days
window by_day as (partition by product, customer_key order by business_date)
