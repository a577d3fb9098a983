{# The latest version of a model has its own name; an older one, kept for a notice, has its version behind it. #}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name -%}
    {{ custom_alias_name | trim }}
    {%- elif node.version and node.version != node.latest_version -%}
    {{ node.name ~ '_v' ~ (node.version | replace('.', '_')) }}
    {%- else -%}
    {{ node.name }}
    {%- endif -%}
{%- endmacro %}
