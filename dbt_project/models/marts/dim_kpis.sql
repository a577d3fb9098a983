-- One row per KPI: the catalogue in _dim_kpis.yml, for whoever asks in SQL.
{{ config(materialized='view') }}

{% set catalogue = config.get('meta', {}).get('kpis', {}) %}
select
    kpi::text as kpi,
    position::integer as position,
    scope::text as scope,
    title_en::text as title_en,
    title_pt::text as title_pt,
    unit::text as unit,
    direction::text as direction,
    grain::text as grain,
    time_window::text as time_window,
    period::text as period,
    owner::text as owner,
    basis::text as basis,
    is_headline::boolean as is_headline,
    is_live::boolean as is_live,
    definition_en::text as definition_en,
    definition_pt::text as definition_pt
from (
    values
    {%- for name, kpi in catalogue.items() %}
    (
        '{{ name }}', {{ loop.index }}, '{{ kpi.scope or "product" }}', '{{ kpi.title.en }}', '{{ kpi.title["pt-BR"] }}', '{{ kpi.unit }}',
        '{{ kpi.direction }}', '{{ kpi.grain }}', '{{ kpi.window }}', '{{ kpi.period }}', '{{ kpi.owner }}',
        '{{ kpi.basis }}',
        {{ kpi.headline }}, {{ kpi.live }},
        '{{ kpi.definition.en | replace("'", "''") }}',
        '{{ kpi.definition["pt-BR"] | replace("'", "''") }}'
    ){{ ',' if not loop.last }}
    {%- else %}
    (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)
    {%- endfor %}
) as catalogue (
    kpi, position, scope, title_en, title_pt, unit, direction, grain, time_window, period, owner, basis, is_headline,
    is_live, definition_en, definition_pt
)
