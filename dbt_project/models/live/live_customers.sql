-- One row per customer, guests by e-mail, as of the newest committed event.
{{ customers(ref('live_orders'), ref('live_transactions'), ref('live_refunds')) }}
