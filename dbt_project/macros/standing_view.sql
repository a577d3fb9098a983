{#
  A view whose text has not changed stays as it is. dbt would drop and make it again, and with it every view that
  stands on it: whoever reads a live view in that second would find nothing. The digests of its text and of its
  documentation are kept as the comment of the view's rule, which lives and dies with it; the comments of the view and
  its columns are its documentation. A view that is only told anew is not made anew. The database's name is not part of
  the text: a copy under another name keeps its views.
#}
{% materialization view, adapter='postgres' %}
    {%- set told = [model.description, config.persist_relation_docs(), config.persist_column_docs()] -%}
    {%- for column in model.columns.values() %}{% do told.extend([column.name, column.description]) %}{% endfor -%}
    {%- set text = sql | replace('"' ~ this.database ~ '".', '') -%}
    {%- set text_digest, told_digest = local_md5(text), local_md5(told | join('\n')) -%}
    {%- set standing = run_query(view_digests(this)) -%}
    {%- set known = standing.rows[0][0].split(':') if standing.rows else [] -%}
    {% if known[1:2] == [text_digest] and not should_full_refresh() %}
        {% call noop_statement('main', 'VIEW STANDS') %}{{ sql }}{% endcall %}
        {% if known[2:3] != [told_digest] %}
            {% do persist_docs(this.incorporate(type='view'), model) %}
            {% do mark_view(this, text_digest, told_digest) %}
        {% endif %}
        {{ return({'relations': [this.incorporate(type='view')]}) }}
    {% endif %}
    {%- set result = dbt.materialization_view_default() -%}
    {% do mark_view(this, text_digest, told_digest) %}
    {{ return(result) }}
{% endmaterialization %}

{# Query of what `mark_view` kept of a view; no row where there is no such view, or nothing is kept of it. #}
{% macro view_digests(view) -%}
    select obj_description(oid, 'pg_rewrite') as digests
    from pg_rewrite
    where ev_class = to_regclass('{{ view }}') and rulename = '_RETURN' and obj_description(oid, 'pg_rewrite') is not null
{%- endmacro %}

{# Keep the digests of a view's text and of its documentation. #}
{% macro mark_view(view, text_digest, told_digest) -%}
    {% call statement('mark', auto_begin=True) -%}
        comment on rule "_RETURN" on {{ view }} is 'batuta:{{ text_digest }}:{{ told_digest }}'
    {%- endcall %}
    {% do adapter.commit() %}
{%- endmacro %}
