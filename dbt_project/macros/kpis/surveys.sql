{#
  An answer counts from its day on, until 90 days are over or its respondent answers again: of each respondent the
  latest answer within 90 days, on every day.
#}

{# CTEs of a recorded model: the respondents touched since it last ran, and all their answers. #}
{% macro respondents_touched_since(model) %}
touched_respondents as (
    {%- if is_incremental() %}
    {{ states_unread_by(model, ref('int_surveys'), 'states.respondent_key') }}
    union
    select surveys.product, surveys.respondent_key
    from {{ settings_changed_since(model) }} as changed
    inner join {{ ref('int_surveys') }} as surveys on changed.product = surveys.product
    {%- else %}
    select distinct product, respondent_key from {{ ref('int_surveys') }}
    {%- endif %}
),

answers_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_surveys'), none, survey_key(), survey_version()
    ) }}
)
{% endmacro %}

{# CTEs of a live view: the respondents touched since the recorded model last ran, and all their answers. #}
{% macro respondents_touched_live(recorded_model) %}
arrived_answers as materialized (
    {{ survey_states(batches_committed_unread_by('int_surveys')) }}
),

touched_respondents as materialized (
    select product, respondent_key from arrived_answers
    union
    {{ states_unread_by(recorded_model, ref('int_surveys'), 'states.respondent_key') }}
    union
    select surveys.product, surveys.respondent_key
    from {{ settings_changed_live(recorded_model) }} as changed
    inner join {{ ref('int_surveys') }} as surveys on changed.product = surveys.product
),

answers_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_surveys'), 'arrived_answers', survey_key(),
        survey_version()
    ) }}
)
{% endmacro %}

{% macro respondent_entities() %}
    select product, respondent_key as entity from touched_respondents
{% endmacro %}

{% macro survey_changes() %}
    select
        spans.product,
        spans.respondent_key as entity,
        shown.business_date,
        {{ change('survey', {
            'facts': 'shown.facts',
            'promoters': 'case when spans.score >= 9 then shown.answers else 0 end',
            'passives': 'case when spans.score between 7 and 8 then shown.answers else 0 end',
            'detractors': 'case when spans.score <= 6 then shown.answers else 0 end'
        }) }}
    from (
        select
            answers.product,
            answers.respondent_key,
            answers.score,
            answers.business_date,
            answers.received_at,
            least(
                answers.business_date + 90,
                lead(answers.business_date) over (
                    partition by answers.product, answers.respondent_key
                    order by answers.answered_at, answers.event_id collate "C"
                )
            ) as counts_until
        from answers_now as answers
        where answers.score between 0 and 10
    ) as spans
    cross join lateral (
        values
        (spans.business_date, {{ fact('spans.business_date', 'spans.received_at') }}, 1),
        (spans.counts_until, 0, -1)
    ) as shown (business_date, facts, answers)
{% endmacro %}
