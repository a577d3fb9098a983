{#
  Generic test: these columns are the grain. None is NULL, and no two rows share them. Of a view over a table that keeps
  the batch its rows were written up to, only products are looked at of which the newest refresh wrote rows there: those
  of others are as they were when they were looked at. (An array reaches the table below a view, a join would not.)
#}
{% test key_of_grain(model, columns, made_of=none) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    {% if made_of -%}
    where product = any(array(
        select written.product from {{ made_of }} as written
        where written.batch = (select max(newest.batch) from {{ made_of }} as newest)
    ))
    {% endif -%}
    group by {{ columns | join(', ') }}
    having count(*) > 1 or not ({{ columns | join(' is not null and ') }} is not null)
{% endtest %}
