-- One row per event of a merge of two customers, come about or failed.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.customer_kept_id as kept_id,
    fields.customer_deleted_id as deleted_id,
    fields.status
from {{ source('shopify', 'customer_merges') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    customer_kept_id text,
    customer_deleted_id text,
    status text
)
where
    events.connector = 'shopify'
    and events.dataset = 'customer_merges'
