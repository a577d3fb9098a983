{#
  State is the newest version of each entity, never the last to arrive. `version` names the columns that order the
  versions of one entity; event_id, compared byte by byte, settles what they leave open.
#}

{% macro version_of(relation, version) -%}
    (
    {%- for column in version -%}
        {{ relation }}.{{ column }}{{ ' collate "C"' if column == 'event_id' }}{{ ', ' if not loop.last }}
    {%- endfor -%}
    )
{%- endmacro %}

{% macro same_entity(left, right, key) -%}
    {%- for column in key -%}
        {{ left }}.{{ column }} = {{ right }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# `distinct on` head and tail: one row per entity out of its versions. #}
{% macro newest_first(key, version) -%}
    {{ key | join(', ') }}
    {%- for column in version %}, {{ column }}{{ ' collate "C"' if column == 'event_id' }} desc{% endfor %}
{%- endmacro %}

{# Body of an incremental model: the states this run read, without those older than what is recorded. #}
{% macro fold(states, key, version) %}
with arrived as (
{{ states }}
)

select arrived.*
from arrived
{%- if is_incremental() %}
where not exists (
    select 1
    from {{ this }} as recorded
    where
        {{ same_entity('recorded', 'arrived', key) }}
        and {{ version_of('recorded', version) }} >= {{ version_of('arrived', version) }}
)
{%- endif %}
{% endmacro %}

{# Body of a live view: what is recorded, and over it what arrived since. #}
{% macro overlay(recorded, states, key, version) %}
with arrived as (
{{ states }}
)

select recorded.*
from {{ recorded }} as recorded
where not exists (
    select 1
    from arrived
    where
        {{ same_entity('arrived', 'recorded', key) }}
        and {{ version_of('arrived', version) }} > {{ version_of('recorded', version) }}
)
union all
select arrived.*
from arrived
where not exists (
    select 1
    from {{ recorded }} as recorded
    where
        {{ same_entity('recorded', 'arrived', key) }}
        and {{ version_of('recorded', version) }} >= {{ version_of('arrived', version) }}
)
{% endmacro %}
