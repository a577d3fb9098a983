{#
  An answer counts from its day on, until 90 days are over or its respondent answers again: of each respondent the
  latest answer within 90 days, on every day. An invitation counts from its day on for 90 days, and as answered from the
  first answer to its survey that came after it.
#}

{# CTEs of a recorded model: the respondents touched since it last ran, and all their answers. #}
{% macro respondents_touched_since(model) %}
touched_respondents as (
    {%- if is_incremental() %}
    {{ states_unread_by(model, ref('int_surveys'), 'states.respondent_key') }}
    union
    {{ states_unread_by(model, ref('int_invitations'), 'states.respondent_key') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_invitations'), 'states.respondent_key') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_surveys'), 'states.respondent_key') }}
    {%- else %}
    select product, respondent_key from {{ ref('int_surveys') }}
    union
    select product, respondent_key from {{ ref('int_invitations') }}
    {%- endif %}
),

answers_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_surveys'), none, survey_key(), survey_version()
    ) }}
),

invitations_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_invitations'), none, invitation_key(),
        invitation_version()
    ) }}
)
{% endmacro %}

{# CTEs of a live view: the respondents touched since the recorded model last ran, and all their answers. #}
{% macro respondents_touched_live(recorded_model) %}
arrived_answers as materialized (
    {{ arrived(survey_states(batches_committed_unread_by('int_surveys'))) }}
),

arrived_invitations as materialized (
    {{ arrived(invitation_states(batches_committed_unread_by('int_invitations'))) }}
),

touched_respondents as materialized (
    select product, respondent_key from arrived_answers
    union
    select product, respondent_key from arrived_invitations
    union
    {{ states_unread_by(recorded_model, ref('int_surveys'), 'states.respondent_key') }}
    union
    {{ states_unread_by(recorded_model, ref('int_invitations'), 'states.respondent_key') }}
    union
    {{ states_of_products(settings_changed_live(recorded_model), ref('int_invitations'), 'states.respondent_key') }}
    union
    {{ states_of_products(settings_changed_live(recorded_model), ref('int_surveys'), 'states.respondent_key') }}
),

answers_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_surveys'), 'arrived_answers', survey_key(),
        survey_version()
    ) }}
),

invitations_now as (
    {{ states_of(
        'touched_respondents', ['product', 'respondent_key'], ref('int_invitations'), 'arrived_invitations',
        invitation_key(), invitation_version()
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
    union all
    select
        invited.product,
        invited.respondent_key,
        shown.business_date,
        {{ change('survey', {
            'facts': 'shown.facts', 'invitations': 'shown.invitations', 'answered_invitations': 'shown.answered'
        }) }}
    from (
        select
            invitations.product,
            invitations.respondent_key,
            invitations.business_date as sent_on,
            invitations.received_at,
            (
                select min(answers.business_date)
                from answers_now as answers
                where
                    answers.product = invitations.product
                    and answers.respondent_key = invitations.respondent_key
                    and answers.survey_id = invitations.survey_id
                    and answers.answered_at >= invitations.sent_at
            ) as answered_on
        from invitations_now as invitations
    ) as invited
    cross join lateral (
        values
        (invited.sent_on, {{ fact('invited.sent_on', 'invited.received_at') }}, 1, 0),
        (invited.sent_on + 90, 0, -1, 0),
        (case when invited.answered_on < invited.sent_on + 90 then invited.answered_on end, 0, 0, 1),
        (case when invited.answered_on < invited.sent_on + 90 then invited.sent_on + 90 end, 0, 0, -1)
    ) as shown (business_date, facts, invitations, answered)
{% endmacro %}
