{#
  Pre-hooks of marts, in the transaction of the rows themselves: what no longer holds goes before it comes anew. A mart
  that is built from nothing has nothing to forget.
#}

{% macro forget_touched(touched, key) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as recorded
    using ({{ touched }}) as touched
    where touched.product = recorded.product and touched.entity = coalesce(recorded.{{ key }}, '')
    {%- endif -%}
{%- endmacro %}

{% macro forget_touched_customers(model) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as recorded
    using {{ ref('int_order_customers') }} as touched
    where
        touched.product = recorded.product
        and touched.customer_group = recorded.customer_key
        and {{ refreshed_since(model, 'touched') }}
    {%- endif -%}
{%- endmacro %}

{% macro forget_touched_repositories(model) -%}
    {%- if is_incremental() -%}
    with {{ repositories_touched_since(model) }}

    delete from {{ this }} as recorded
    using touched_repositories as touched
    where touched.product = recorded.product and touched.repository_id = recorded.repository_id
    {%- endif -%}
{%- endmacro %}

{# CTE `orders_of_customers`: the recorded orders of the customers touched since a model last ran. #}
{% macro orders_of_touched_customers(model) %}
{{ customers_touched_since(model) }},

orders_of_customers as (
    select orders.*
    from touched_customers as touched
    inner join {{ ref('fct_orders') }} as orders
        on touched.product = orders.product and touched.customer_group = orders.customer_key
)
{% endmacro %}

{# The first day to reckon anew, by product: the first that changed, or the first beyond the recorded ones. #}
{% macro days_to_reckon() %}
    select
        touched.product,
        min(touched.from_on) as from_on
    from (
        select
            changes.product,
            changes.business_date as from_on
        from {{ ref('int_daily_changes') }} as changes
        where {{ refreshed_since('fct_product_daily', 'changes') }}
        {%- if is_incremental() %}
        union all
        select
            horizons.product,
            recorded.last_date + 1 as from_on
        from {{ ref('stg_registry__horizons') }} as horizons
        cross join lateral (
            select max(days.business_date) as last_date from {{ this }} as days
            where days.product = horizons.product
        ) as recorded
        where recorded.last_date < horizons.as_of
        {%- endif %}
    ) as touched
    group by touched.product
{% endmacro %}

{% macro forget_days() -%}
    {%- if is_incremental() -%}
    with starts as (
        {{ days_to_reckon() }}
    )

    delete from {{ this }} as recorded
    using starts
    where starts.product = recorded.product and recorded.business_date >= starts.from_on
    {%- endif -%}
{%- endmacro %}
