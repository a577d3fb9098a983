-- One row per customer, guests by e-mail, as of the newest committed event.
{{ customers(ref('live_order_facts')) }}
