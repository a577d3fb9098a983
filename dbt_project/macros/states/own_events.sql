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
