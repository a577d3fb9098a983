-- One row per order that exists, with what was paid and what came back, as of the newest committed event.
with {{ members_touched_live('fct_orders') }},

{{ order_facts(live=true) }},

no_longer_hold as (
    select
        product,
        order_id
    from touched_orders
    union
    select
        product,
        order_id
    from members
)

select {{ order_columns('recorded') }}
from {{ ref('fct_orders') }} as recorded
where not exists (
    select 1 from no_longer_hold as touched
    where touched.product = recorded.product and touched.order_id = recorded.order_id
)
union all
select {{ order_columns('order_facts') }}
from order_facts
