-- One row per transaction event.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.id as transaction_id,
    fields.order_id,
    fields.parent_id,
    fields.kind,
    fields.status,
    fields.gateway,
    fields.amount,
    fields.currency,
    fields.test as is_test,
    fields.created_at,
    fields.processed_at
from {{ source('shopify', 'order_transactions') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    id text,
    order_id text,
    parent_id text,
    kind text,
    status text,
    gateway text,
    amount numeric,
    currency text,
    test boolean,
    created_at timestamptz,
    processed_at timestamptz
)
where
    events.connector = 'shopify'
    and events.dataset = 'order_transactions'
