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

{# Keys of all states of the products whose settings changed, mostly of none; `changed` is one of the two above. #}
{% macro states_of_products(changed, states, key) %}
    select states.product, {{ key }}
    from {{ changed }} as changed
    {{ reached('changed', states, ['product'], 'states') }}
{% endmacro %}
