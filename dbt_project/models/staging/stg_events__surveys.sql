-- One row per survey event: one answer.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.survey_id,
    fields.respondent,
    fields.score,
    fields.answered_at,
    fields.channel,
    fields.comment
from {{ source('events', 'surveys') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    survey_id text,
    respondent text,
    score numeric,
    answered_at timestamptz,
    channel text,
    comment text
)
where
    events.connector = 'events'
    and events.dataset = 'surveys'
