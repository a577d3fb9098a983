{# Generic test: these columns are the grain. None is NULL, and no two rows share them. #}
{% test key_of_grain(model, columns) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1 or not ({{ columns | join(' is not null and ') }} is not null)
{% endtest %}
