{# Issues are open from the day they are opened until the day they are closed. #}

{% macro issue_entity(relation) -%}
    {{ relation }}.repository_id || '#' || {{ relation }}.number
{%- endmacro %}

{# CTEs of a recorded model: the issues touched since it last ran, as they are now. #}
{% macro issues_touched_since(model) %}
touched_issues as (
    {%- if is_incremental() %}
    {{ states_unread_by(model, ref('int_issues'), 'states.repository_id, states.number') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_issues'), 'states.repository_id, states.number') }}
    {%- else %}
    select product, repository_id, number from {{ ref('int_issues') }}
    {%- endif %}
),

issues_now as (
    {{ states_of('touched_issues', issue_key(), ref('int_issues'), none, issue_key(), issue_version()) }}
)
{% endmacro %}

{# CTEs of a live view, over the CTE `arrived_issues`: the issues touched since the recorded model last ran. #}
{% macro issues_touched_live(recorded_model) %}
touched_issues as materialized (
    select product, repository_id, number from arrived_issues
    union
    {{ states_unread_by(recorded_model, ref('int_issues'), 'states.repository_id, states.number') }}
    union
    {{ states_of_products(
        settings_changed_live(recorded_model), ref('int_issues'), 'states.repository_id, states.number'
    ) }}
),

issues_now as (
    {{ states_of('touched_issues', issue_key(), ref('int_issues'), 'arrived_issues', issue_key(), issue_version()) }}
)
{% endmacro %}

{% macro issue_entities() %}
    select product, {{ issue_entity('touched_issues') }} as entity from touched_issues
{% endmacro %}

{% macro issue_changes() %}
    select
        issues.product,
        {{ issue_entity('issues') }} as entity,
        shown.business_date,
        {{ change('issue', {'facts': 'shown.facts', 'open_issues': 'shown.opened'}) }}
    from issues_now as issues
    cross join lateral (
        values
        (issues.opened_on, {{ fact('issues.opened_on', 'issues.received_at') }}, 1),
        (issues.closed_on, {{ fact('issues.closed_on', 'issues.received_at') }}, -1)
    ) as shown (business_date, facts, opened)
    where not issues.is_deleted and issues.opened_on is not null
{% endmacro %}
