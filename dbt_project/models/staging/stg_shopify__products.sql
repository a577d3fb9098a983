-- One row per catalogue event: a version of an item, or word that it was deleted.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.type as event_type,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.id as product_id,
    fields.title,
    fields.vendor,
    fields.product_type,
    fields.status,
    fields.tags,
    fields.created_at,
    fields.published_at,
    fields.updated_at
from {{ source('shopify', 'products') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    id text,
    title text,
    vendor text,
    product_type text,
    status text,
    tags text,
    created_at timestamptz,
    published_at timestamptz,
    updated_at timestamptz
)
where
    events.connector = 'shopify'
    and events.dataset = 'products'
