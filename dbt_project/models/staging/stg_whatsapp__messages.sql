-- One row per message event, in either direction. Names and types only.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.type as event_type,
    events.time as event_time,
    events.received_at,
    events.batch,
    events.subject as message_id,
    fields.direction,
    fields.type as message_type,
    fields.sender ->> 'user' as sender_user,
    fields.sender ->> 'phone' as sender_phone,
    fields.media ->> 'hash' as media_hash,
    fields.forwarded as is_forwarded,
    fields.frequently_forwarded as is_frequently_forwarded,
    fields.signals -> 'wording' as wording,
    fields.signals -> 'links' as links,
    fields.signals -> 'pix' as pix_keys,
    (fields.signals ->> 'executable')::boolean as is_executable,
    (fields.signals ->> 'length')::integer as text_length
from {{ source('whatsapp', 'messages') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    direction text,
    type text,
    sender jsonb,
    media jsonb,
    forwarded boolean,
    frequently_forwarded boolean,
    signals jsonb
)
where
    events.connector = 'whatsapp'
    and events.dataset = 'messages'
