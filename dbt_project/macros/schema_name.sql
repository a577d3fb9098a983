{# Schemas are named for their layer, the same on every machine: batuta_staging, batuta_intermediate, ... #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema if custom_schema_name is none else 'batuta_' ~ custom_schema_name | trim }}
{%- endmacro %}
