-- One row per customer, guests by e-mail.
{{ customers(ref('int_orders'), ref('int_transactions'), ref('int_refunds')) }}
