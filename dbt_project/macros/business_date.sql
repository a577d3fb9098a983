{#
  The day of a moment in the product's time zone; `products` is the alias of stg_registry__products, left-joined.
  A moment before 1990 or after 2100 is a mistake: it has no business date, and one absurd event no endless series.
#}
{% macro zone_of(products) -%}
    coalesce({{ products }}.time_zone, 'America/Sao_Paulo')
{%- endmacro %}

{% macro business_date(moment, products) -%}
    {{ day_in_zone(moment, zone_of(products)) }}
{%- endmacro %}

{% macro day_in_zone(moment, zone) -%}
    case
        when {{ moment }} >= timestamptz '1990-01-01 00:00:00Z' and {{ moment }} < timestamptz '2100-01-01 00:00:00Z'
            then ({{ moment }} at time zone {{ zone }})::date
    end
{%- endmacro %}

{% macro currency_of(products) -%}
    coalesce({{ products }}.currency, 'BRL')
{%- endmacro %}

{#
  Pre-hook: a product that was given another time zone gets its recorded days anew, before new rows come in; `more` has
  further days of the model by name, each with its moment.
#}
{% macro follow_time_zone(day, moment, more={}) -%}
    {%- if is_incremental() -%}
    update {{ this }} as recorded
    set
        {{ day }} = {{ day_in_zone('recorded.' ~ moment, 'products.time_zone') }},
        {% for name, at in more.items() -%}
        {{ name }} = {{ day_in_zone('recorded.' ~ at, 'products.time_zone') }},
        {% endfor -%}
        time_zone = products.time_zone
    from {{ ref('stg_registry__products') }} as products
    where products.product = recorded.product and products.time_zone <> recorded.time_zone
    {%- endif -%}
{%- endmacro %}
