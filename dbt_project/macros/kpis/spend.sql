{# What was spent accrues evenly over the days of its period, both ends included. #}

{% macro spend_entity(relation) -%}
    {{ relation }}.event_source || ' ' || {{ relation }}.spend_id
{%- endmacro %}

{# CTEs of a recorded model: the spends touched since it last ran, as they are now. #}
{% macro spends_touched_since(model) %}
touched_spends as (
    {%- if is_incremental() %}
    {{ states_unread_by(model, ref('int_spend'), 'states.event_source, states.spend_id') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_spend'), 'states.event_source, states.spend_id') }}
    union
    {{ spends_at_rates(states_unread_by(model, ref('int_rates'), 'states.base_currency, states.day')) }}
    {%- else %}
    select product, event_source, spend_id from {{ ref('int_spend') }}
    {%- endif %}
),

spends_now as (
    {{ states_of('touched_spends', spend_key(), ref('int_spend'), none, spend_key(), spend_version()) }}
)
{% endmacro %}

{# CTEs of a live view: the spends touched since the recorded model last ran, as they are now. #}
{% macro spends_touched_live(recorded_model) %}
arrived_spends as materialized (
    {{ arrived(spend_states(batches_committed_unread_by('int_spend'))) }}
),

touched_spends as materialized (
    select product, event_source, spend_id from arrived_spends
    union
    {{ states_unread_by(recorded_model, ref('int_spend'), 'states.event_source, states.spend_id') }}
    union
    {{ states_of_products(
        settings_changed_live(recorded_model), ref('int_spend'), 'states.event_source, states.spend_id'
    ) }}
    union
    {{ spends_at_rates(changed_rates(recorded_model)) }}
),

spends_now as (
    {{ states_of('touched_spends', spend_key(), ref('int_spend'), 'arrived_spends', spend_key(), spend_version()) }}
)
{% endmacro %}

{% macro spend_entities() %}
    select product, {{ spend_entity('touched_spends') }} as entity from touched_spends
{% endmacro %}

{% macro spend_changes(live=false) %}
{%- set rates = ref('live_rates') if live else ref('int_rates') -%}
    select
        accrued.product,
        accrued.entity,
        shown.business_date,
        {{ change('spend', {
            'facts': 'shown.facts',
            'spends': 'shown.spends',
            'spend_rate': 'shown.starts * accrued.rate',
            'media_rate': "case when accrued.kind = 'media' then shown.starts * accrued.rate else 0 end"
        }) }}
    from (
        select
            spend.*,
            {{ spend_entity('spend') }} as entity,
            spend.amount * ({{ rate_or_one('spend.currency', currency_of('products'), 'exchange.rate') }})
            / (spend.period_end - spend.period_start + 1) as rate
        from spends_now as spend
        left join {{ ref('stg_registry__products') }} as products on spend.product = products.product
        left join lateral {{ rate_on(
            rates, 'spend.product', 'spend.currency', currency_of('products'), 'spend.period_start'
        ) }} as exchange on true
        where
            spend.period_start between date '1990-01-01' and spend.period_end
            and (spend.currency = {{ currency_of('products') }} or exchange.rate is not null)
            and spend.amount is not null
    ) as accrued
    cross join lateral (
        values
        (accrued.period_start, {{ fact('accrued.period_start', 'accrued.received_at') }}, 1, 1),
        (accrued.period_end + 1, 0, 0, -1)
    ) as shown (business_date, facts, spends, starts)
{% endmacro %}
