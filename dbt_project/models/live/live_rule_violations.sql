-- One row per rule that a row breaks. What KPIs cannot be trusted with, as of the newest committed event. That money
-- and goods do not agree is no violation: sigma.finance.reconcile looks for it.
{{ row_rule(
    'money_missing', 'live_orders', 'order_id',
    'checked.gross_sales is null or checked.discounts is null or checked.total_price is null',
    "'an amount of the order is missing or out of range'"
) }}
union all
{{ row_rule(
    'money_missing', 'live_transactions', 'transaction_id', 'checked.amount is null',
    "'the amount is missing or out of range'"
) }}
union all
{{ row_rule(
    'money_missing', 'live_refunds', 'refund_id', 'checked.returns is null',
    "'an amount of the refund is missing or out of range'"
) }}
union all
{{ row_rule(
    'money_missing', 'live_spend', 'spend_id', 'checked.amount is null', "'the amount is missing or out of range'"
) }}
union all
{{ row_rule(
    'money_negative', 'live_orders', 'order_id',
    'checked.gross_sales < 0 or checked.discounts < 0 or checked.total_price < 0',
    "format('gross %s, discounts %s, total %s', checked.gross_sales, checked.discounts, checked.total_price)"
) }}
union all
{{ row_rule(
    'money_negative', 'live_transactions', 'transaction_id', 'checked.amount < 0',
    "format('%s of %s', checked.kind, checked.amount)"
) }}
union all
{{ row_rule(
    'money_negative', 'live_spend', 'spend_id', 'checked.amount < 0', "format('amount %s', checked.amount)"
) }}
union all
{{ row_rule(
    'discounts_above_gross', 'live_orders', 'order_id', 'checked.discounts > checked.gross_sales',
    "format('discounts %s on %s', checked.discounts, checked.gross_sales)"
) }}
union all
{{ row_rule(
    'currency_foreign', 'live_orders', 'order_id', currency_uncounted('checked.currency', 'checked.business_date'),
    "format('%s in a product counted in %s, and no rate for the day', checked.currency, " ~ currency_of('products') ~ ")"
) }}
union all
{{ row_rule(
    'currency_foreign', 'live_transactions', 'transaction_id',
    currency_uncounted('checked.currency', 'checked.business_date'),
    "format('%s in a product counted in %s, and no rate for the day', checked.currency, " ~ currency_of('products') ~ ")"
) }}
union all
{{ row_rule(
    'currency_foreign', 'live_spend', 'spend_id', currency_uncounted('checked.currency', 'checked.period_start'),
    "format('%s in a product counted in %s, and no rate for the day', checked.currency, " ~ currency_of('products') ~ ")"
) }}
union all
{{ row_rule(
    'date_impossible', 'live_orders', 'order_id',
    "checked.business_date is null or " ~ is_dated_ahead('checked.business_date', 'checked.received_at'),
    "format('processed at %s, received at %s', checked.processed_at, checked.received_at)"
) }}
union all
{{ row_rule(
    'date_impossible', 'live_refunds', 'refund_id',
    "checked.business_date is null or " ~ is_dated_ahead('checked.business_date', 'checked.received_at'),
    "format('refunded at %s, received at %s', checked.refunded_at, checked.received_at)"
) }}
union all
{{ row_rule(
    'date_impossible', 'live_surveys', 'event_id',
    "checked.business_date is null or " ~ is_dated_ahead('checked.business_date', 'checked.received_at'),
    "format('answered at %s, received at %s', checked.answered_at, checked.received_at)"
) }}
union all
{{ row_rule(
    'date_impossible', 'live_invitations', 'event_id',
    "checked.business_date is null or " ~ is_dated_ahead('checked.business_date', 'checked.received_at'),
    "format('sent at %s, received at %s', checked.sent_at, checked.received_at)"
) }}
union all
{{ row_rule(
    'date_impossible', 'live_rates', 'event_id',
    "checked.day < date '1990-01-01' or checked.day >= date '2100-01-01'",
    "format('%s/%s of %s', checked.base_currency, checked.quote_currency, checked.day)"
) }}
union all
{{ row_rule(
    'transaction_without_order', 'live_transactions', 'transaction_id',
    had_a_day_to_arrive() ~ ' and not (' ~ order_is_known() ~ ')', "format('order %s is not known', checked.order_id)"
) }}
union all
{{ row_rule(
    'refund_without_order', 'live_refunds', 'refund_id',
    had_a_day_to_arrive() ~ ' and not (' ~ order_is_known() ~ ')', "format('order %s is not known', checked.order_id)"
) }}
union all
{{ row_rule(
    'period_reversed', 'live_spend', 'spend_id',
    "checked.period_end < checked.period_start or checked.period_start < date '1990-01-01'",
    "format('from %s to %s', checked.period_start, checked.period_end)"
) }}
union all
{{ row_rule(
    'score_out_of_range', 'live_surveys', 'event_id', 'checked.score is null or checked.score not between 0 and 10',
    "format('score %s', checked.score)"
) }}
union all
{{ row_rule(
    'period_reversed', 'live_issues', 'number', 'checked.closed_at < checked.created_at',
    "format('opened at %s, closed at %s', checked.created_at, checked.closed_at)"
) }}
union all
{{ row_rule(
    'period_reversed', 'live_deployments', 'deployment_id', 'checked.finished_at < checked.created_at',
    "format('begun at %s, finished at %s', checked.created_at, checked.finished_at)"
) }}
union all
{{ row_rule(
    'rate_not_positive', 'live_rates', 'event_id', 'checked.rate is null or checked.rate <= 0',
    "format('%s/%s of %s at %s', checked.base_currency, checked.quote_currency, checked.day, checked.rate)"
) }}
