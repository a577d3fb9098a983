{# Products whose currency or time zone changed since a recorded model last ran: all it holds of them is touched. #}
{% macro settings_changed_since(model) -%}
    (
        select changed.product
        from {{ ref('int_settings') }} as changed
        where {{ refreshed_since(model, 'changed') }}
    )
{%- endmacro %}

{# The same for a view, which knows of changes that no refresh has seen yet. #}
{% macro settings_changed_live(model) -%}
    (
        select products.product
        from {{ ref('stg_registry__products') }} as products
        left join {{ ref('int_settings') }} as known on products.product = known.product
        where
            known.currency is distinct from products.currency
            or known.time_zone is distinct from products.time_zone
            or ({{ pending_for(model, 'known') }})
    )
{%- endmacro %}

{# Keys of all states of the products whose settings changed, `settings_changed_since` a model ran. #}
{% macro states_of_products(changed, states, key) %}
    select states.product, {{ key }}
    from {{ changed }} as changed
    inner join {{ states }} as states on changed.product = states.product
{% endmacro %}

{# The same for a view, of `settings_changed_live`: mostly of no product at all. #}
{% macro states_of_products_live(changed, recorded, key) %}
    select states.product, {{ key }}
    from {{ changed }} as changed
    {{ reached('changed', recorded, ['product'], 'states') }}
{% endmacro %}
