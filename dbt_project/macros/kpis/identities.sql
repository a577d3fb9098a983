{#
  Who a customer is after all merges. Who was kept may have been merged away later: the last one kept is the customer.
  Merges in a circle are followed twenty times, and end where they then are.
#}
{% macro identities(merges) %}
    with recursive chains as (
        select
            merges.product,
            merges.customer_key,
            merges.kept_key,
            1 as steps
        from {{ merges }} as merges
        where merges.kept_key is not null
        union all
        select
            chains.product,
            chains.customer_key,
            merges.kept_key,
            chains.steps + 1
        from chains
        inner join {{ merges }} as merges
            on chains.product = merges.product and chains.kept_key = merges.customer_key
        where merges.kept_key is not null and chains.steps < 20
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
