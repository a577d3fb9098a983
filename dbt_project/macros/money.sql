{# Money is numeric(18, 4). What does not fit is NULL and a rule violation: one absurd event stops no product. #}
{% macro money(amount) -%}
    (case when abs({{ amount }}) < 1e14 then {{ amount }} end)::numeric(18, 4)
{%- endmacro %}

{# A sum of money; wide enough for any sum of amounts that each fit. #}
{% macro total(amount) -%}
    ({{ amount }})::numeric(38, 4)
{%- endmacro %}
