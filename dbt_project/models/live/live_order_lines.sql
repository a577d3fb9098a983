-- One row per line of each order that exists, as of the newest committed event.
{{ order_lines(ref('live_orders')) }}
