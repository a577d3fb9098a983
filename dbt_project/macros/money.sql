{# Money is numeric(18, 4). What does not fit is NULL and a rule violation: one absurd event stops no product. #}
{% macro money(amount) -%}
    (case when abs({{ amount }}) < 1e14 then {{ amount }} end)::numeric(18, 4)
{%- endmacro %}
