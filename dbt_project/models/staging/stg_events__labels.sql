-- One row per label event: what a person found out about one message. Names and types only.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    events.subject as message_id,
    fields.fraud as is_fraud,
    fields.kind as fraud_kind
from {{ source('events', 'labels') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    fraud boolean,
    kind text
)
where
    events.connector = 'events'
    and events.dataset = 'labels'
