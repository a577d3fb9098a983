-- One row per message that somebody sent us, as of the newest committed event; as far back as the log goes.
select
    messages.product,
    messages.message_id,
    messages.message_type,
    coalesce(messages.sender_user, messages.sender_phone) as sender_key,
    messages.event_time as sent_at,
    {{ business_date('messages.event_time', 'products') }} as business_date,
    {{ zone_of('products') }} as time_zone,
    coalesce(messages.is_forwarded, false) as is_forwarded,
    coalesce(messages.is_frequently_forwarded, false) as is_frequently_forwarded,
    coalesce(messages.is_executable, false) as is_executable,
    messages.media_hash,
    coalesce(messages.wording, '[]'::jsonb) as wording,
    coalesce(messages.links, '[]'::jsonb) as links,
    coalesce(messages.pix_keys, '[]'::jsonb) as pix_keys,
    messages.text_length,
    messages.event_source,
    messages.event_id,
    messages.received_at,
    messages.batch
from {{ ref('stg_whatsapp__messages') }} as messages
left join {{ ref('stg_registry__products') }} as products on messages.product = products.product
where
    messages.event_type = 'com.whatsapp.message.received'
    and messages.direction = 'in'
