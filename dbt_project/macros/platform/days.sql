{#
  Which days of a platform mart are built: all of them at first, then those of newly recorded runs and the last two, in
  which facts may still come in. Days before stay as they were built.
#}
{% macro first_day_to_build() -%}
    {%- if is_incremental() -%}
    (
        select coalesce(
            least(
                (select max(built.day) - 1 from {{ this }} as built),
                (
                    select min(runs.finished_on) from {{ ref('stg_platform__runs') }} as runs
                    where runs.number > (select coalesce(max(built.runs_to), 0) from {{ this }} as built)
                )
            ),
            date '-infinity'
        )
    )
    {%- else -%}
    date '-infinity'
    {%- endif -%}
{%- endmacro %}

{# Number of the last recorded run: what a build of today has taken in. #}
{% macro runs_so_far() -%}
    (select coalesce(max(runs.number), 0) from {{ ref('stg_platform__runs') }} as runs)
{%- endmacro %}

{# Indicators and ratios look at 28 days: every weekday four times. #}
{% macro window_days() -%} 28 {%- endmacro %}
