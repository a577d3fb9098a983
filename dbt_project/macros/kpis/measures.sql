{#
  What days are counted in. Facts become changes on days, one family of facts a table: `int_<family>_changes` has a row
  per entity and day, `int_daily_changes` their sums by product and day. Every column named here is such a measure;
  the sum of a measure up to a day, or over the days of a window, is what KPIs are made of. `facts` counts what happened
  on the day itself and bounds the series.
#}
{% macro measures() %}
    {{ return({
        'order': [
            'facts', 'orders', 'gross_sales', 'discounts', 'returns', 'new_customers', 'customer_value', 'repeat_customers',
            'active_customers'
        ],
        'spend': ['facts', 'spends', 'spend_rate', 'media_rate'],
        'survey': [
            'facts', 'promoters', 'passives', 'detractors', 'invitations', 'answered_invitations'
        ],
        'delivery': ['facts', 'releases', 'failed_releases', 'open_undeployed'],
        'issue': ['facts', 'open_issues'],
    }) }}
{% endmacro %}

{# Every measure, in the order of the families. #}
{% macro all_measures() %}
    {%- set found = [] -%}
    {%- for names in measures().values() -%}
        {%- for name in names if name not in found -%}{%- do found.append(name) -%}{%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{# The measures of a family in their order; those not given are 0. #}
{% macro change(family, values) -%}
    {%- for measure in measures()[family] %}
        {{ values.get(measure, '0') }}::numeric as {{ measure }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Changes of a family as one row per entity and day. #}
{% macro changes_by_day(family, rows) %}
    select
        product,
        entity,
        business_date,
        {%- for measure in measures()[family] %}
        sum({{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from ({{ rows }}) as changes
    where business_date is not null
    group by product, entity, business_date
{% endmacro %}

{#
  Body of int_<family>_changes: the rows of the touched entities as they are now. A day on which an entity counted
  before and does not any more keeps a row of zeros, so that whoever sums up days learns of it.
#}
{% macro record_changes(family, model, ctes, touched, fresh) %}
with {{ ctes }},

fresh as (
    {{ changes_by_day(family, fresh) }}
)

select
    fresh.*,
    {{ this_refresh(model) }}::bigint as refresh
from fresh
{%- if is_incremental() %}
union all
select
    recorded.product,
    recorded.entity,
    recorded.business_date,
    {%- for measure in measures()[family] %}
    0::numeric as {{ measure }},
    {%- endfor %}
    {{ this_refresh(model) }}::bigint as refresh
from {{ this }} as recorded
inner join ({{ touched }}) as touched on recorded.product = touched.product and recorded.entity = touched.entity
where not exists (
    select 1 from fresh
    where
        fresh.product = recorded.product
        and fresh.entity = recorded.entity
        and fresh.business_date = recorded.business_date
)
{%- endif %}
{% endmacro %}

{# What the touched entities of a family change on days as of now, over what is recorded of them: + and -. #}
{% macro changes_since(family, touched, fresh) %}
    select
        product,
        business_date,
        {{ measures()[family] | join(', ') }}
    from ({{ fresh }}) as fresh
    where business_date is not null
    union all
    select
        recorded.product,
        recorded.business_date,
        {%- for measure in measures()[family] %}
        -recorded.{{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from ({{ touched }}) as touched
    {{ reached('touched', ref('int_' ~ family ~ '_changes'), ['product', 'entity'], 'recorded') }}
{% endmacro %}

{# Changes of one family with every measure there is; the others' are 0. #}
{% macro with_all_measures(family, relation) -%}
    {%- for measure in all_measures() -%}
    {{ relation ~ '.' ~ measure if measure in measures()[family] else '0::numeric' }} as {{ measure }}
    {{- ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# 1 for a fact, which stretches the series, unless it is dated after it was received. #}
{% macro fact(day, received_at) -%}
    case when {{ is_dated_ahead(day, received_at) }} then 0 else 1 end
{%- endmacro %}

{# The day of grace is for clocks that differ. #}

{% macro is_dated_ahead(day, received_at) -%}
    {{ day }} > ({{ received_at }} at time zone 'UTC')::date + 1
{%- endmacro %}
