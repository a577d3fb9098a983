{#
  A view whose text has not changed stays as it is. dbt would drop and make it again, and with it every view that
  stands on it: whoever reads a live view in that second would find nothing. The digest of the text is kept as the
  view's comment.
#}
{% materialization view, adapter='postgres' %}
    {%- set digest = 'batuta:' ~ local_md5(sql) -%}
    {%- set standing = run_query("select obj_description(to_regclass('" ~ this ~ "'), 'pg_class') as digest") -%}
    {% if standing.rows[0][0] == digest and not should_full_refresh() %}
        {% call noop_statement('main', 'VIEW STANDS') %}{{ sql }}{% endcall %}
        {{ return({'relations': [this.incorporate(type='view')]}) }}
    {% endif %}
    {%- set result = dbt.materialization_view_default() -%}
    {% call statement('mark', auto_begin=True) %}comment on view {{ this }} is '{{ digest }}'{% endcall %}
    {% do adapter.commit() %}
    {{ return(result) }}
{% endmaterialization %}
