-- One row per invitation event: one survey sent to one respondent.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.survey_id,
    fields.respondent,
    fields.sent_at,
    fields.channel
from {{ source('events', 'invitations') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    survey_id text,
    respondent text,
    sent_at timestamptz,
    channel text
)
where
    events.connector = 'events'
    and events.dataset = 'invitations'
