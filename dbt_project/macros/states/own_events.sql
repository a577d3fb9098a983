{# A producer's spend_id is unique within the producer; without one every event is a spend of its own. #}
{% macro spend_key() %}{{ return(['product', 'event_source', 'spend_id']) }}{% endmacro %}

{% macro spend_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# Newest state of each spend among the events of a window. #}
{% macro spend_states(window) %}
    select distinct on (product, event_source, coalesce(spend_id, event_id))
        product,
        coalesce(spend_id, event_id) as spend_id,
        period_start,
        period_end,
        channel,
        kind,
        {{ money('amount') }} as amount,
        currency,
        event_time as version_at,
        event_source,
        event_id,
        received_at,
        batch
    from {{ ref('stg_events__spend') }}
    where {{ window }}
    order by product, event_source, coalesce(spend_id, event_id), event_time desc, event_id collate "C" desc
{% endmacro %}

{# Every answer is kept: which one counts depends on the day one asks about. #}
{% macro survey_key() %}{{ return(['product', 'event_source', 'event_id']) }}{% endmacro %}

{% macro survey_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# Each answer among the events of a window. #}
{% macro survey_states(window) %}
    select distinct on (answers.product, answers.event_source, answers.event_id)
        answers.product,
        answers.survey_id,
        coalesce(answers.respondent, answers.event_id) as respondent_key,
        answers.score::integer as score,
        coalesce(answers.answered_at, answers.event_time) as answered_at,
        {{ business_date('coalesce(answers.answered_at, answers.event_time)', 'products') }} as business_date,
        answers.channel,
        answers.comment,
        {{ zone_of('products') }} as time_zone,
        answers.event_time as version_at,
        answers.event_source,
        answers.event_id,
        answers.received_at,
        answers.batch
    from {{ ref('stg_events__surveys') }} as answers
    left join {{ ref('stg_registry__products') }} as products on answers.product = products.product
    where {{ window }}
    order by answers.product, answers.event_source, answers.event_id, answers.event_time desc
{% endmacro %}

{#
  An invitation counts from when it was first sent: who is reminded is not asked a second time. So the earliest sending
  is the newest version; `earliness` grows towards the past.
#}
{% macro invitation_key() %}{{ return(['product', 'survey_id', 'respondent_key']) }}{% endmacro %}

{% macro invitation_version() %}{{ return(['earliness', 'event_id']) }}{% endmacro %}

{# First sending of each invitation among the events of a window. #}
{% macro invitation_states(window) %}
    with sendings as (
        select
            *,
            coalesce(respondent, event_id) as respondent_key,
            coalesce(sent_at, event_time) as first_sent_at,
            -extract(epoch from coalesce(sent_at, event_time)) as earliness
        from {{ ref('stg_events__invitations') }}
        where {{ window }}
    )

    select distinct on (sendings.product, sendings.survey_id, sendings.respondent_key)
        sendings.product,
        sendings.survey_id,
        sendings.respondent_key,
        sendings.first_sent_at as sent_at,
        {{ business_date('sendings.first_sent_at', 'products') }} as business_date,
        sendings.channel,
        {{ zone_of('products') }} as time_zone,
        sendings.earliness,
        sendings.event_source,
        sendings.event_id,
        sendings.received_at,
        sendings.batch
    from sendings
    left join {{ ref('stg_registry__products') }} as products on sendings.product = products.product
    order by
        sendings.product, sendings.survey_id, sendings.respondent_key,
        sendings.earliness desc, sendings.event_id collate "C" desc
{% endmacro %}

{% macro rate_key() %}{{ return(['product', 'base_currency', 'quote_currency', 'day']) }}{% endmacro %}

{% macro rate_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# What does not fit is NULL and a rule violation, as with money. #}
{% macro exchange_rate(rate) -%}
    (case when abs({{ rate }}) < 1e10 then {{ rate }} end)::numeric(20, 10)
{%- endmacro %}

{# Newest version of each rate among the events of a window. #}
{% macro rate_states(window) %}
    select distinct on (product, pair, day)
        product,
        split_part(pair, '/', 1) as base_currency,
        split_part(pair, '/', 2) as quote_currency,
        day,
        {{ exchange_rate('rate') }} as rate,
        provider,
        event_time as version_at,
        event_source,
        event_id,
        received_at,
        batch
    from {{ ref('stg_events__rates') }}
    where {{ window }}
    order by product, pair, day, event_time desc, event_id collate "C" desc
{% endmacro %}
