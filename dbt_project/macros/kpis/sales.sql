{#
  What counts as sold and as bought. Orders are taken by customer: when a customer was won, and which purchase an order
  was, depends on all orders of that customer. Whatever touches one of them touches them all, and no other.

  Recorded and live forms come from the same macros. They differ in where the CTE `members` comes from (the orders of
  the touched customers: product, order_id, customer_group) and in whether newer states have arrived.
#}

{# The customer an order is taken with; an order of nobody is a customer of its own. #}
{% macro customer_group(customer_key, order_id) -%}
    coalesce({{ customer_key }}, 'order:' || {{ order_id }})
{%- endmacro %}

{# CTE `touched_customers` of a recorded model: those of whose orders anything was touched since it last ran. #}
{% macro customers_touched_since(model) %}
touched_customers as (
    select distinct
        placed.product,
        placed.customer_group
    from {{ ref('int_order_customers') }} as placed
    where {{ refreshed_since(model, 'placed') }}
)
{% endmacro %}

{# CTE `members` of a recorded model: the orders of the customers that were touched since the model last ran. #}
{% macro members_touched_since(model) %}
{{ customers_touched_since(model) }},

members as (
    select
        placed.product,
        placed.order_id,
        placed.customer_group
    from touched_customers
    inner join {{ ref('int_order_customers') }} as placed
        on
            touched_customers.product = placed.product
            and touched_customers.customer_group = placed.customer_group
    where placed.is_current
)
{% endmacro %}

{# Orders that belong to the touched customers, or did: whose recorded rows no longer hold. #}
{% macro orders_touched_since(model) %}
    select distinct
        placed.product,
        placed.order_id as entity
    from {{ ref('int_order_customers') }} as placed
    where
        (placed.product, placed.customer_group) in (
            select
                touched.product,
                touched.customer_group
            from {{ ref('int_order_customers') }} as touched
            where {{ refreshed_since(model, 'touched') }}
        )
{% endmacro %}

{# CTE `members` of a live view: the orders of the customers that anything touched since what is recorded. #}
{% macro members_touched_live(recorded_model) %}
{%- set merged -%}
    select
        joined.product,
        joined.customer_key
    from {{ ref('live_customer_merges') }} as joined
    where joined.batch > {{ position_of('int_order_customers', 'read_to') }}
{%- endset -%}
arrived_orders as materialized (
    {{ arrived(order_states(batches_committed_unread_by('int_orders'))) }}
),

arrived_transactions as materialized (
    {{ arrived(transaction_states(batches_committed_unread_by('int_transactions'))) }}
),

arrived_refunds as materialized (
    {{ arrived(refund_states(batches_committed_unread_by('int_refunds_reported'))) }}
),

touched_orders as materialized (
    select product, order_id from arrived_orders
    union
    select product, coalesce(order_id, '') from arrived_transactions
    union
    select product, coalesce(order_id, '') from arrived_refunds
    union
    {{ states_unread_by('int_order_customers', ref('int_orders'), 'states.order_id') }}
    union
    {{ states_unread_by('int_order_customers', ref('int_transactions'), "coalesce(states.order_id, '')") }}
    union
    {{ states_unread_by('int_order_customers', ref('int_refunds_reported'), "coalesce(states.order_id, '')") }}
    union
    select placed.product, placed.order_id
    from {{ ref('int_order_customers') }} as placed
    where {{ pending_for(recorded_model, 'placed') }}
    union
    {{ states_of_products(settings_changed_live(recorded_model), ref('int_order_customers'), 'states.order_id') }}
    union
    {{ orders_of_merged(merged) }}
    union
    select placed.product, placed.order_id
    from ({{ merged }}) as merged
    inner join {{ ref('int_order_customers') }} as placed
        on merged.product = placed.product and merged.customer_key = placed.customer_group
    union
    {{ orders_at_rates(changed_rates('int_order_customers')) }}
),

identity as materialized (
    {{ identities(ref('live_customer_merges')) }}
),

orders_touched_now as (
    {{ states_of(
        'touched_orders', ['product', 'order_id'], ref('int_orders'), 'arrived_orders', order_key(), order_version()
    ) }}
),

placed_now as materialized (
    select
        touched.product,
        touched.order_id,
        {{ customer_group('coalesce(identity.kept_key, orders.customer_key)', 'touched.order_id') }} as customer_group
    from touched_orders as touched
    left join orders_touched_now as orders
        on touched.product = orders.product and touched.order_id = orders.order_id
    left join identity on orders.product = identity.product and orders.customer_key = identity.customer_key
),

touched_customers as (
    select product, customer_group from placed_now
    union
    select placed.product, placed.customer_group
    from touched_orders as touched
    {{ reached('touched', ref('int_order_customers'), ['product', 'order_id'], 'placed') }}
),

members as materialized (
    select product, order_id, customer_group from placed_now
    union all
    select placed.product, placed.order_id, placed.customer_group
    from touched_customers as touched
    {{ reached('touched', ref('int_order_customers'), ['product', 'customer_group'], 'placed') }}
    where
        placed.is_current
        and not exists (
            select 1 from touched_orders
            where touched_orders.product = placed.product and touched_orders.order_id = placed.order_id
        )
)
{% endmacro %}

{#
  CTEs `goods_back` and `order_facts` over `members`. One row per order that exists: whether it is a sale (not test,
  not voided, in a currency that can be counted), whether it won its customer, which purchase of the customer it was, and
  the returns booked on it.

  A customer is won by the first order that was paid, neither test nor cancelled.

  The planner takes a CTE for one row where it is thousands, and would compare each order with each sum. A full join is
  never made that way; what it adds has no order, and is left out by a condition that the planner cannot turn into a
  left join.
#}
{% macro order_facts(live=false) %}
{%- set order_of = ['product', 'order_id'] -%}
{%- set rates = ref('live_rates') if live else ref('int_rates') -%}
{%- set refund_currency = 'coalesce(settled.currency, orders.currency)' -%}
member_orders as (
    {{ states_of(
        'members', order_of, ref('int_orders'), 'arrived_orders' if live, order_key(), order_version()
    ) }}
),

member_transactions as materialized (
    {{ states_of(
        'members', order_of, ref('int_transactions'), 'arrived_transactions' if live, transaction_key(),
        transaction_version()
    ) }}
),

member_refunds as (
    {{ states_of(
        'members', order_of, ref('int_refunds_reported'), 'arrived_refunds' if live, refund_key(), refund_version()
    ) }}
),

goods_back as materialized (
    select
        settled.*,
        {{ rate_or_one(refund_currency, currency_of('products'), 'exchange.rate') }} as exchange_rate
    from ({{ refunds_settled('member_refunds', 'member_transactions') }}) as settled
    left join member_orders as orders on settled.product = orders.product and settled.order_id = orders.order_id
    left join {{ ref('stg_registry__products') }} as products on settled.product = products.product
    left join lateral {{ rate_on(
        rates, 'settled.product', refund_currency, currency_of('products'), 'settled.business_date'
    ) }} as exchange on true
),

settled_orders as materialized (
    select
        orders.*,
        coalesce(paid.payments > 0, false) as is_paid,
        coalesce(paid.paid_amount, 0) as paid_amount,
        coalesce(paid.refunded_amount, 0) as refunded_amount,
        coalesce(booked.returns, 0) as returns,
        coalesce(booked.own_returns, 0) as own_returns
    from (
        select
            states.product,
            states.order_id,
            states.order_name,
            states.customer_key as named_key,
            states.is_guest,
            states.business_date,
            states.processed_at,
            states.cancelled_at,
            states.is_cancelled,
            states.is_voided,
            states.is_test,
            {{ rate_or_one('states.currency', currency_of('products'), 'exchange.rate') }} as exchange_rate,
            states.financial_status,
            states.currency,
            states.line_count,
            states.gross_sales,
            states.discounts,
            states.total_price,
            states.event_source,
            states.event_id,
            states.received_at,
            states.batch
        from member_orders as states
        left join {{ ref('stg_registry__products') }} as products on states.product = products.product
        left join lateral {{ rate_on(
            rates, 'states.product', 'states.currency', currency_of('products'), 'states.business_date'
        ) }} as exchange on true
        where not states.is_deleted and states.business_date is not null
    ) as orders
    full join (
        select
            transactions.product,
            transactions.order_id,
            count(*) filter (where transactions.kind in ('sale', 'capture')) as payments,
            sum(transactions.amount) filter (where transactions.kind in ('sale', 'capture')) as paid_amount,
            sum(transactions.amount) filter (where transactions.kind = 'refund') as refunded_amount
        from member_transactions as transactions
        where transactions.status = 'success' and not transactions.is_test
        group by transactions.product, transactions.order_id
    ) as paid on orders.product = paid.product and orders.order_id = paid.order_id
    full join (
        select
            goods_back.product,
            goods_back.order_id,
            sum(goods_back.returns) as returns,
            sum(round(goods_back.returns * goods_back.exchange_rate, 4)) as own_returns
        from goods_back
        where not goods_back.is_failed and goods_back.business_date is not null
        group by goods_back.product, goods_back.order_id
    ) as booked on orders.product = booked.product and orders.order_id = booked.order_id
    where (orders.order_id is null) is not true
),

order_facts as materialized (
    select
        facts.*,
        case
            when facts.customer_key is not null
                then min(facts.business_date) filter (where facts.wins_customers) over by_customer
        end as acquired_on,
        facts.wins_customers
        and facts.customer_key is not null
        and row_number() over (
            partition by facts.product, facts.customer_group, facts.wins_customers
            order by facts.business_date, facts.order_id
        ) = 1 as is_winning_order,
        case when facts.is_purchase then row_number() over purchases end as purchase_number,
        case when facts.is_purchase then lead(facts.business_date) over purchases end as next_purchase_on
    from (
        select
            orders.*,
            members.customer_group,
            case when orders.named_key is not null then members.customer_group end as customer_key,
            not orders.is_test and not orders.is_voided and orders.exchange_rate is not null as is_sale,
            not orders.is_test and not orders.is_voided and orders.exchange_rate is not null
            and orders.named_key is not null as is_purchase,
            round(coalesce(orders.gross_sales, 0) * orders.exchange_rate, 4) as own_gross_sales,
            round(coalesce(orders.discounts, 0) * orders.exchange_rate, 4) as own_discounts,
            not orders.is_test and not orders.is_cancelled and orders.is_paid as wins_customers
        from settled_orders as orders
        inner join members on orders.product = members.product and orders.order_id = members.order_id
    ) as facts
    window
        by_customer as (partition by facts.product, facts.customer_group),
        purchases as (
            partition by facts.product, facts.customer_group, facts.is_purchase
            order by facts.business_date, facts.order_id
        )
)
{% endmacro %}

{#
  Sales on their day, returns on theirs, and what an acquired customer brought: on the day of the movement, or on the
  day the customer was won if that came later. Summed up to a day, the last is the net sales of the customers won by
  that day. A customer is active from a purchase on until 90 days are over or the next purchase takes its place.
#}
{% macro order_changes() %}
    select
        shown.product,
        shown.order_id as entity,
        shown.business_date,
        {{ change('order', {
            'facts': 'shown.facts', 'orders': 'shown.orders', 'gross_sales': 'shown.gross_sales',
            'discounts': 'shown.discounts', 'returns': 'shown.returns', 'new_customers': 'shown.new_customers',
            'customer_value': 'shown.customer_value', 'repeat_customers': 'shown.repeat_customers',
            'active_customers': 'shown.active_customers'
        }) }}
    from (
        select
            product, order_id, business_date, {{ fact('business_date', 'received_at') }} as facts,
            1 as orders, own_gross_sales as gross_sales, own_discounts as discounts, 0 as returns,
            0 as new_customers, 0 as customer_value, 0 as repeat_customers,
            case when is_purchase then 1 else 0 end as active_customers
        from order_facts
        where is_sale
        union all
        select
            product, order_id, least(business_date + 90, next_purchase_on), 0,
            0, 0, 0, 0, 0, 0, 0, -1
        from order_facts
        where is_purchase
        union all
        select
            product, order_id, greatest(business_date, acquired_on), 0,
            0, 0, 0, 0, 0, own_gross_sales - own_discounts,
            case when purchase_number = 2 then 1 else 0 end, 0
        from order_facts
        where is_sale and acquired_on is not null
        union all
        select
            product, order_id, business_date, {{ fact('business_date', 'received_at') }},
            0, 0, 0, 0, 1, 0, 0, 0
        from order_facts
        where is_winning_order
        union all
        select
            returned.product, returned.order_id, returned.business_date,
            {{ fact('returned.business_date', 'returned.received_at') }},
            0, 0, 0, round(returned.returns * returned.exchange_rate, 4), 0, 0, 0, 0
        from goods_back as returned
        inner join order_facts as facts
            on returned.product = facts.product and returned.order_id = facts.order_id
        where
            facts.is_sale and not returned.is_failed and returned.business_date is not null
            and returned.exchange_rate is not null
        union all
        select
            returned.product, returned.order_id, greatest(returned.business_date, facts.acquired_on), 0,
            0, 0, 0, 0, 0, -round(returned.returns * returned.exchange_rate, 4), 0, 0
        from goods_back as returned
        inner join order_facts as facts
            on returned.product = facts.product and returned.order_id = facts.order_id
        where
            facts.is_sale and facts.acquired_on is not null
            and not returned.is_failed and returned.business_date is not null
            and returned.exchange_rate is not null
    ) as shown
{% endmacro %}

{# Columns of a row of fct_orders and of its live twin, out of `order_facts`. #}
{% macro order_columns(facts) %}
    {{ facts }}.product,
    {{ facts }}.order_id,
    {{ facts }}.order_name,
    {{ facts }}.customer_key,
    {{ facts }}.is_guest,
    {{ facts }}.business_date,
    {{ facts }}.processed_at,
    {{ facts }}.cancelled_at,
    {{ facts }}.is_cancelled,
    {{ facts }}.is_voided,
    {{ facts }}.is_test,
    {{ facts }}.is_sale,
    {{ facts }}.is_winning_order,
    {{ facts }}.acquired_on,
    {{ facts }}.purchase_number::integer as purchase_number,
    {{ facts }}.financial_status,
    {{ facts }}.currency,
    {{ facts }}.exchange_rate::numeric(20, 10) as exchange_rate,
    {{ facts }}.line_count,
    {{ facts }}.gross_sales,
    {{ facts }}.discounts,
    {{ money(facts ~ '.returns') }} as returns,
    {{ money(facts ~ '.gross_sales - ' ~ facts ~ '.discounts - ' ~ facts ~ '.returns') }} as net_sales,
    {{ total(facts ~ '.own_gross_sales') }} as own_gross_sales,
    {{ total(facts ~ '.own_discounts') }} as own_discounts,
    {{ total(facts ~ '.own_returns') }} as own_returns,
    {{ facts }}.total_price,
    {{ money(facts ~ '.paid_amount') }} as paid_amount,
    {{ money(facts ~ '.refunded_amount') }} as refunded_amount,
    {{ facts }}.event_source,
    {{ facts }}.event_id,
    {{ facts }}.batch
{% endmacro %}
