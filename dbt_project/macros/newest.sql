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

{#
  What arrived since, in a live view. It is found by index, as little as it mostly is, and then taken for a thousand
  times as many: where it is many, nothing compares each of it with each of what is recorded.
#}
{% macro arrived(states) %}
    select states.*
    from ({{ states }}) as states
    cross join generate_series(1, (select 1)) as once
{% endmacro %}

{# Body of a live view: what is recorded, and over it what arrived since. #}
{% macro overlay(recorded, states, key, version) %}
with arrived as (
{{ arrived(states) }}
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

{#
  FROM item `name`: the recorded rows that share the columns `on` with a row of `wanted`. They are
  reached by index, row by row: a planner that cannot know how few have been touched would read all that is recorded.
#}
{% macro reached(wanted, recorded, on, name) -%}
    cross join lateral (
        select states.*
        from {{ recorded }} as states
        where {{ same_entity(wanted, 'states', on) }}
        offset 0
    ) as {{ name }}
{%- endmacro %}

{#
  The newest states of some entities only: those recorded, reached by index, and over them those of the CTE `arrived`.
  `on` names the columns that `wanted`, a relation without duplicates in them, shares with the states. Without
  `arrived` there is nothing newer than what is recorded.
#}
{% macro states_of(wanted, on, recorded, arrived, key, version) %}
    select recorded.*
    from {{ wanted }} as wanted
    {%- if not arrived %}
    inner join {{ recorded }} as recorded on {{ same_entity('wanted', 'recorded', on) }}
    {%- else %}
    {{ reached('wanted', recorded, on, 'recorded') }}
    where not exists (
        select 1
        from {{ arrived }} as arrived
        where
            {{ same_entity('arrived', 'recorded', key) }}
            and {{ version_of('arrived', version) }} > {{ version_of('recorded', version) }}
    )
    union all
    select arrived.*
    from {{ wanted }} as wanted
    inner join {{ arrived }} as arrived on {{ same_entity('wanted', 'arrived', on) }}
    where not exists (
        select 1
        from {{ recorded }} as recorded
        where
            {{ same_entity('recorded', 'arrived', key) }}
            and {{ version_of('recorded', version) }} >= {{ version_of('arrived', version) }}
        offset 0
    )
    {%- endif %}
{% endmacro %}

{# Keys of the recorded states that a derived model has not taken in yet. #}
{% macro states_unread_by(model, states, key) %}
    select states.product, {{ key }}
    from {{ states }} as states
    where
        states.batch > {{ position_of(model, 'read_to') }}
        and states.batch <= {{ position_of(model, 'up_to') }}
{% endmacro %}
