{# One row rule of live_rule_violations: the rows of a live relation for which `broken` holds. #}
{% macro row_rule(rule, relation, entity, broken, detail) -%}
    select
        checked.product,
        '{{ rule }}' as rule,
        '{{ relation }}' as relation,
        checked.{{ entity }}::text as entity_id,
        {{ detail }} as detail,
        checked.event_source,
        checked.event_id
    from {{ ref(relation) }} as checked
    left join {{ ref('stg_registry__products') }} as products on checked.product = products.product
    where {{ broken }}
{%- endmacro %}

{# Whether an event is old enough that what it refers to has had a day to arrive; the log's own clock. #}
{% macro had_a_day_to_arrive() -%}
    checked.received_at < (
        select max(batches.committed_at) - interval '1 day' from {{ ref('stg_registry__batches') }} as batches
    )
{%- endmacro %}

{% macro order_is_known() -%}
    exists (
        select 1 from {{ ref('live_orders') }} as orders
        where orders.product = checked.product and orders.order_id = checked.order_id
    )
    or exists (
        select 1 from {{ ref('int_orders') }} as orders
        where orders.product = checked.product and orders.order_id = checked.order_id
    )
{%- endmacro %}

{# Whether an amount is in a currency that cannot be counted: not the product's, and without a rate for the day. #}
{% macro currency_uncounted(currency, day) -%}
    {{ currency }} is null
    or (
        {{ currency }} <> {{ currency_of('products') }}
        and not exists {{ rate_on(ref('live_rates'), 'checked.product', currency, currency_of('products'), day) }}
    )
{%- endmacro %}
