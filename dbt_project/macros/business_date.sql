{# The day of a moment in the product's time zone; `products` is the alias of stg_registry__products, left-joined. #}
{% macro zone_of(products) -%}
    coalesce({{ products }}.time_zone, 'America/Sao_Paulo')
{%- endmacro %}

{% macro business_date(moment, products) -%}
    ({{ moment }} at time zone {{ zone_of(products) }})::date
{%- endmacro %}

{% macro currency_of(products) -%}
    coalesce({{ products }}.currency, 'BRL')
{%- endmacro %}

{# Pre-hook: a product that was given another time zone gets its recorded days anew, before new rows come in. #}
{% macro follow_time_zone(day, moment) -%}
    {%- if is_incremental() -%}
    update {{ this }} as recorded
    set {{ day }} = (recorded.{{ moment }} at time zone products.time_zone)::date, time_zone = products.time_zone
    from {{ ref('stg_registry__products') }} as products
    where products.product = recorded.product and products.time_zone <> recorded.time_zone
    {%- endif -%}
{%- endmacro %}
