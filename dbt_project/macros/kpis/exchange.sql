{#
  Amounts in other currencies are converted by the rate recorded for the day, the latest up to it. Without a rate they
  are not counted, and a row rule says so: never at 1.
#}

{# Lateral subquery: the rate from a currency to the product's on a day; no row in the product's own currency. #}
{% macro rate_on(rates, product, currency, own_currency, day) -%}
    (
        select rates.rate
        from {{ rates }} as rates
        where
            {{ currency }} <> {{ own_currency }}
            and rates.product = {{ product }}
            and rates.base_currency = {{ currency }}
            and rates.quote_currency = {{ own_currency }}
            and rates.day between date '1990-01-01' and {{ day }}
            and rates.rate > 0
        order by rates.day desc
        limit 1
    )
{%- endmacro %}

{# 1 in the product's own currency, else the rate; NULL where there is none. #}
{% macro rate_or_one(currency, own_currency, rate) -%}
    case when {{ currency }} = {{ own_currency }} then 1 else {{ rate }} end
{%- endmacro %}

{# Orders that a rate concerns: in its currency, sold or brought back on its day or later. #}
{% macro orders_at_rates(rates) %}
    select
        orders.product,
        orders.order_id
    from ({{ rates }}) as changed
    inner join {{ ref('int_orders') }} as orders
        on changed.product = orders.product and changed.base_currency = orders.currency
    where
        orders.business_date >= changed.day
        or exists (
            select 1 from {{ ref('int_refunds_reported') }} as refunds
            where
                refunds.product = orders.product
                and refunds.order_id = orders.order_id
                and refunds.business_date >= changed.day
        )
{% endmacro %}

{# The spends that a rate concerns. #}
{% macro spends_at_rates(rates) %}
    select
        spend.product,
        spend.event_source,
        spend.spend_id
    from ({{ rates }}) as changed
    inner join {{ ref('int_spend') }} as spend
        on changed.product = spend.product and changed.base_currency = spend.currency
    where spend.period_start >= changed.day
{% endmacro %}

{# Rates that a recorded model has not taken in yet, those that only arrived included; for a live view. #}
{% macro changed_rates(recorded_model) %}
    select
        rates.product,
        rates.base_currency,
        rates.day
    from {{ ref('live_rates') }} as rates
    where rates.batch > {{ position_of(recorded_model, 'read_to') }}
{% endmacro %}
