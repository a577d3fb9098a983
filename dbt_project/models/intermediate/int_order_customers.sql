-- One row per order and customer it belongs to or ever belonged to. An order of nobody is a customer of its own.
-- depends_on: {{ ref('int_settings') }}
-- depends_on: {{ ref('int_rates') }}
{{
    config(
        unique_key=['product', 'order_id', 'customer_group'],
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'order_id', 'customer_group'], 'unique': true},
            {'columns': ['product', 'customer_group']},
            {'columns': ['refresh']},
        ],
    )
}}

{% set merged = states_unread_by('int_order_customers', ref('int_customer_merges'), 'states.customer_key') %}

with touched as (
    {%- if is_incremental() %}
    {{ states_unread_by('int_order_customers', ref('int_orders'), 'states.order_id') }}
    union
    {{ states_unread_by('int_order_customers', ref('int_transactions'), "coalesce(states.order_id, '') as order_id") }}
    union
    {{ states_unread_by(
        'int_order_customers', ref('int_refunds_reported'), "coalesce(states.order_id, '') as order_id"
    ) }}
    union
    select
        orders.product,
        orders.order_id
    from {{ settings_changed_since('int_order_customers') }} as changed
    inner join {{ ref('int_orders') }} as orders on changed.product = orders.product
    union
    {{ orders_of_merged(merged) }}
    union
    select
        placed.product,
        placed.order_id
    from ({{ merged }}) as merged
    inner join {{ this }} as placed on merged.product = placed.product and merged.customer_key = placed.customer_group
    union
    {{ orders_at_rates(
        states_unread_by('int_order_customers', ref('int_rates'), 'states.base_currency, states.day')
    ) }}
    {%- else %}
    select
        product,
        order_id
    from {{ ref('int_orders') }}
    union
    select
        product,
        coalesce(order_id, '') as order_id
    from {{ ref('int_transactions') }}
    union
    select
        product,
        coalesce(order_id, '') as order_id
    from {{ ref('int_refunds_reported') }}
    {%- endif %}
),

identity as (
    {{ identities(ref('int_customer_merges')) }}
),

placed as (
    select
        touched.product,
        touched.order_id,
        {{ customer_group('coalesce(identity.kept_key, orders.customer_key)', 'touched.order_id') }} as customer_group
    from touched
    left join {{ ref('int_orders') }} as orders
        on touched.product = orders.product and touched.order_id = orders.order_id
    left join identity on orders.product = identity.product and orders.customer_key = identity.customer_key
)

select
    placed.product,
    placed.order_id,
    placed.customer_group,
    true as is_current,
    {{ this_refresh('int_order_customers') }}::bigint as refresh
from placed
{%- if is_incremental() %}
    union all
    select
        recorded.product,
        recorded.order_id,
        recorded.customer_group,
        false as is_current,
        {{ this_refresh('int_order_customers') }}::bigint as refresh
    from placed
    inner join {{ this }} as recorded
        on placed.product = recorded.product and placed.order_id = recorded.order_id
    where placed.customer_group <> recorded.customer_group
{%- endif %}
