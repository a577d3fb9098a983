-- One row per day, product, resource and language model: how much of it was used, and what that costs.
-- '(shared)' is what no product used alone. A resource without a price costs NULL, never 0; nothing used costs 0.
{{
    config(
        unique_key='day',
        indexes=[{'columns': ['day', 'product', 'resource', 'model'], 'unique': true}],
    )
}}

with used as (
    select
        usage.day,
        coalesce(usage.product, '(shared)') as product,
        usage.resource,
        coalesce(usage.model, '') as model,
        case when bool_and(usage.quantity is not null) then sum(usage.quantity) end as quantity
    from {{ ref('int_usage') }} as usage
    where usage.day >= {{ first_day_to_build() }}
    group by usage.day, coalesce(usage.product, '(shared)'), usage.resource, coalesce(usage.model, '')
)

select
    used.day,
    used.product,
    used.resource,
    used.model,
    used.quantity::numeric(24, 6) as quantity,
    prices.price::numeric(18, 10) as price,
    prices.currency,
    case when used.quantity = 0 then 0 else used.quantity * prices.price end::numeric(24, 10) as amount,
    case
        when used.quantity is null then 'not measured'
        when used.quantity > 0 and prices.price is null then 'no price'
    end as reason,
    {{ runs_so_far() }} as runs_to
from used
left join lateral (
    select
        known.price,
        known.currency
    from {{ ref('prices') }} as known
    where
        known.resource = used.resource
        and known.valid_from <= used.day
        and known.model in (used.model, '*')
    order by known.model = '*', known.valid_from desc
    limit 1
) as prices on true
