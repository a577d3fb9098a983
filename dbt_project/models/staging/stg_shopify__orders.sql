-- One row per order event: a version of an order as the shop sent it, or word that it was deleted.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.type as event_type,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.id as order_id,
    fields.name as order_name,
    fields.customer ->> 'id' as customer_id,
    fields.email,
    fields.contact_email,
    fields.customer ->> 'email' as customer_email,
    fields.test as is_test,
    fields.financial_status,
    fields.currency,
    fields.total_price,
    fields.created_at,
    fields.processed_at,
    fields.updated_at,
    fields.cancelled_at,
    fields.line_items,
    fields.refunds
from {{ source('shopify', 'orders') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    id text,
    name text,
    customer jsonb,
    email text,
    contact_email text,
    test boolean,
    financial_status text,
    currency text,
    total_price numeric,
    created_at timestamptz,
    processed_at timestamptz,
    updated_at timestamptz,
    cancelled_at timestamptz,
    line_items jsonb,
    refunds jsonb
)
where
    events.connector = 'shopify'
    and events.dataset = 'orders'
