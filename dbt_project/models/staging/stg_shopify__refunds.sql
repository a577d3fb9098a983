-- One row per refund event.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.id as refund_id,
    fields.order_id,
    fields.created_at,
    fields.processed_at,
    fields.refund_line_items,
    fields.order_adjustments,
    fields.transactions
from {{ source('shopify', 'refunds') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    id text,
    order_id text,
    created_at timestamptz,
    processed_at timestamptz,
    refund_line_items jsonb,
    order_adjustments jsonb,
    transactions jsonb
)
where
    events.connector = 'shopify'
    and events.dataset = 'refunds'
