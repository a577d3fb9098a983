{#
  Facts as changes on days, one row each, in one shape: `fact_on` is the day the fact itself is dated, if it bounds the
  series; every other column is added to what the day had.
#}

{# Columns of a change in their order; those not given are 0. #}
{% macro change(values) -%}
    {%- for column in [
        'orders', 'gross_sales', 'discounts', 'returns', 'new_customers', 'customer_value', 'spends', 'spend_rate',
        'promoters', 'passives', 'detractors', 'open_undeployed'
    ] %}
        {{ values.get(column, '0') }}::numeric as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
  Sales on their day, returns on theirs, and what an acquired customer brought: on the day of the movement, or on the
  day the customer was won if that came later. Summed up to a day, the last is the net sales of the customers won by
  that day.
#}
{% macro sales_changes(forms) %}
    select
        facts.product,
        shown.business_date,
        shown.fact_on,
        {{ change({
            'orders': 'shown.orders', 'gross_sales': 'shown.gross_sales', 'discounts': 'shown.discounts',
            'returns': 'shown.returns', 'new_customers': 'shown.new_customers',
            'customer_value': 'shown.customer_value'
        }) }}
    from ({{ order_facts(forms.orders, forms.transactions, forms.refunds) }}) as facts
    cross join lateral (
        select
            facts.business_date,
            {{ fact_day('facts.business_date', 'facts.received_at') }} as fact_on,
            1 as orders,
            facts.gross_sales,
            facts.discounts,
            0 as returns,
            0 as new_customers,
            0 as customer_value
        where facts.is_sale
        union all
        select
            returned.business_date,
            {{ fact_day('returned.business_date', 'returned.received_at') }},
            0, 0, 0, returned.amount, 0, 0
        from unnest(facts.return_days, facts.return_amounts, facts.return_receipts)
            as returned (business_date, amount, received_at)
        where facts.is_sale
        union all
        select
            greatest(facts.business_date, facts.acquired_on), null::date,
            0, 0, 0, 0, 0, facts.gross_sales - facts.discounts
        where facts.is_sale and facts.acquired_on is not null
        union all
        select
            greatest(returned.business_date, facts.acquired_on), null::date,
            0, 0, 0, 0, 0, -returned.amount
        from unnest(facts.return_days, facts.return_amounts) as returned (business_date, amount)
        where facts.is_sale and facts.acquired_on is not null
        union all
        select
            facts.business_date,
            {{ fact_day('facts.business_date', 'facts.received_at') }},
            0, 0, 0, 0, 1, 0
        where facts.is_winning_order
    ) as shown
{% endmacro %}

{# What was spent accrues evenly over the days of its period, both ends included. #}
{% macro spend_changes(spend) %}
    select
        spend.product,
        shown.business_date,
        shown.fact_on,
        {{ change({'spends': 'shown.spends', 'spend_rate': 'shown.spend_rate'}) }}
    from {{ spend }} as spend
    left join {{ ref('stg_registry__products') }} as products on spend.product = products.product
    cross join lateral (
        values
        (
            spend.period_start,
            {{ fact_day('spend.period_start', 'spend.received_at') }},
            1,
            spend.amount / (spend.period_end - spend.period_start + 1)
        ),
        (
            spend.period_end + 1,
            null::date,
            0,
            -spend.amount / (spend.period_end - spend.period_start + 1)
        )
    ) as shown (business_date, fact_on, spends, spend_rate)
    where spend.period_start between date '1990-01-01' and spend.period_end and spend.currency = {{ currency_of('products') }}
{% endmacro %}

{#
  An answer counts from its day on, until 90 days are over or its respondent answers again: of each respondent the
  latest answer within 90 days, on every day.
#}
{% macro survey_changes(surveys) %}
    select
        spans.product,
        shown.business_date,
        shown.fact_on,
        {{ change({
            'promoters': 'case when spans.score >= 9 then shown.answers else 0 end',
            'passives': 'case when spans.score between 7 and 8 then shown.answers else 0 end',
            'detractors': 'case when spans.score <= 6 then shown.answers else 0 end'
        }) }}
    from (
        select
            surveys.product,
            surveys.score,
            surveys.business_date,
            surveys.received_at,
            least(
                surveys.business_date + 90,
                lead(surveys.business_date) over (
                    partition by surveys.product, surveys.respondent_key
                    order by surveys.answered_at, surveys.event_id collate "C"
                )
            ) as counts_until
        from {{ surveys }} as surveys
        where surveys.score between 0 and 10
    ) as spans
    cross join lateral (
        values
        (spans.business_date, {{ fact_day('spans.business_date', 'spans.received_at') }}, 1),
        (spans.counts_until, null::date, -1)
    ) as shown (business_date, fact_on, answers)
{% endmacro %}

{# Pull requests wait from their merge to their release; merges and releases bound the series. #}
{% macro delivery_changes(pull_requests, releases) %}
    select
        merged.product,
        shown.business_date,
        shown.fact_on,
        {{ change({'open_undeployed': 'shown.waiting'}) }}
    from ({{ merged_pull_requests(pull_requests, releases) }}) as merged
    cross join lateral (
        values
        (merged.merged_on, {{ fact_day('merged.merged_on', 'merged.received_at') }}, 1),
        (merged.released_on, {{ fact_day('merged.released_on', 'merged.released_received_at') }}, -1)
    ) as shown (business_date, fact_on, waiting)
    where shown.business_date is not null
{% endmacro %}
