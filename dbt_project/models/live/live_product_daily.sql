-- One row per product and day, without gaps, as of the newest committed event.
{% set batch -%} (select coalesce(max(batches.batch), 0) from {{ ref('stg_registry__batches') }} as batches) {%- endset %}

with {{ members_touched_live('int_order_changes') }},

{{ order_facts(live=true) }},

{{ spends_touched_live('int_spend_changes') }},

{{ respondents_touched_live('int_survey_changes') }},

{{ repositories_touched_live(['int_delivery_changes', 'fct_lead_times', 'fct_incidents']) }},

{{ issues_touched_live('int_issue_changes') }},

order_entities as (
    select
        product,
        order_id as entity
    from touched_orders
    union
    select
        product,
        order_id as entity
    from members
),

-- What has changed since the recorded changes of days, + and -.
since as materialized (
    {% set families = {
        'order': ['select product, entity from order_entities', order_changes()],
        'spend': [spend_entities(), spend_changes(live=true)],
        'survey': [respondent_entities(), survey_changes()],
        'delivery': [repository_entities(), delivery_changes()],
        'issue': [issue_entities(), issue_changes()],
    } %}
    {%- for family, (touched, fresh) in families.items() %}
    select
        changes.product,
        changes.business_date,
        {{ with_all_measures(family, 'changes') }}
    from ({{ changes_since(family, touched, fresh) }}) as changes
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

{{ sums_of_days(live=true) }},

changed_days as (
    select
        product,
        business_date
    from since
    union all
    select
        product,
        business_date
    from sums
    union all
    select
        days.product,
        days.business_date
    from {{ ref('int_daily_changes') }} as days
    where {{ pending_for('fct_product_daily', 'days') }}
),

starts as materialized (
    select
        touched.product,
        min(touched.from_on) as from_on
    from (
        select
            product,
            business_date as from_on
        from changed_days
        union all
        select
            horizons.product,
            recorded.last_date + 1 as from_on
        from {{ ref('stg_registry__horizons') }} as horizons
        cross join lateral (
            select max(days.business_date) as last_date from {{ ref('fct_product_daily') }} as days
            where days.product = horizons.product
        ) as recorded
        where recorded.last_date < horizons.as_of
    ) as touched
    group by touched.product
),

daily as materialized (
    select
        changes.product,
        changes.business_date,
        {%- for measure in all_measures() %}
        sum(changes.{{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            days.product, days.business_date,
            {{ all_measures() | join(', ') }}
        from starts
        inner join {{ ref('int_daily_changes') }} as days on starts.product = days.product
        where not exists (
            select 1 from sums
            where sums.product = days.product and sums.business_date = days.business_date
        )
        union all
        select
            product, business_date,
            {{ all_measures() | join(', ') }}
        from sums
        union all
        select
            product, business_date,
            {{ all_measures() | join(', ') }}
        from since
    ) as changes
    group by changes.product, changes.business_date
),

all_lead_times as (
    select {{ lead_time_columns('recorded') }}
    from starts
    inner join {{ ref('fct_lead_times') }} as recorded on starts.product = recorded.product
    where not exists (
        select 1 from touched_repositories as touched
        where touched.product = recorded.product and touched.repository_id = recorded.repository_id
    )
    union all
    select {{ lead_time_columns('lead_times') }}
    from lead_times
),

all_incidents as (
    select {{ incident_columns('recorded') }}
    from starts
    inner join {{ ref('fct_incidents') }} as recorded on starts.product = recorded.product
    where not exists (
        select 1 from touched_repositories as touched
        where touched.product = recorded.product and touched.repository_id = recorded.repository_id
    )
    union all
    select {{ incident_columns('incidents') }}
    from incidents
)

select
    {{ product_day_columns('recorded') }},
    {{ batch }} as batch
from {{ ref('fct_product_daily') }} as recorded
where not exists (
    select 1 from starts
    where starts.product = recorded.product and starts.from_on <= recorded.business_date
)
union all
select
    {{ product_day_columns('reckoned') }},
    {{ batch }} as batch
from ({{ product_days('starts', 'daily', 'all_lead_times', 'all_incidents', '0::bigint') }}) as reckoned
