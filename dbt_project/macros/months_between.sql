{# How many months the month of one day lies after the month of another. #}
{% macro months_between(from_day, to_day) -%}
    (
        (extract(year from {{ to_day }}) - extract(year from {{ from_day }})) * 12
        + extract(month from {{ to_day }}) - extract(month from {{ from_day }})
    )::integer
{%- endmacro %}
