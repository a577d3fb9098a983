{#
  Who a customer is after all merges. Who was kept may have been merged away later: the last one kept is the customer.
  Merges in a circle are followed twenty times, and end where they then are.
#}
{% macro identities(merges) %}
    with recursive chains as (
        select
            joined.product,
            joined.customer_key,
            joined.kept_key,
            1 as steps
        from {{ merges }} as joined
        where joined.kept_key is not null
        union all
        select
            chains.product,
            chains.customer_key,
            joined.kept_key,
            chains.steps + 1
        from chains
        inner join {{ merges }} as joined
            on chains.product = joined.product and chains.kept_key = joined.customer_key
        where joined.kept_key is not null and chains.steps < 20
    )

    select distinct on (chains.product, chains.customer_key)
        chains.product,
        chains.customer_key,
        chains.kept_key
    from chains
    order by chains.product, chains.customer_key, chains.steps desc
{% endmacro %}

{# Orders of customers that were merged: theirs by name, and those that were taken with them. #}
{% macro orders_of_merged(merges) %}
    select
        orders.product,
        orders.order_id
    from ({{ merges }}) as merged
    inner join {{ ref('int_orders') }} as orders
        on merged.product = orders.product and merged.customer_key = orders.customer_key
{% endmacro %}
