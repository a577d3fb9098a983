-- One row per spend event.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.spend_id,
    fields.period_start,
    fields.period_end,
    fields.channel,
    fields.kind,
    fields.amount,
    fields.currency
from {{ source('events', 'spend') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    spend_id text,
    period_start date,
    period_end date,
    channel text,
    kind text,
    amount numeric,
    currency text
)
where
    events.connector = 'events'
    and events.dataset = 'spend'
