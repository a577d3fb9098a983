-- One row per order as of the newest committed event.
{{ overlay(ref('int_orders'), order_states(batches_unread_by('int_orders')), order_key(), order_version()) }}
