{# Where dbt is told to ask no database, the SQL is that of a model that is built for the first time. #}
{% macro is_incremental() %}
    {{ return(flags.INTROSPECT and dbt.is_incremental()) }}
{% endmacro %}
