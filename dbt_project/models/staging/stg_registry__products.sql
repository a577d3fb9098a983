-- One row per product: what its numbers are counted in.
select
    product,
    currency,
    timezone as time_zone
from {{ source('registry', 'products') }}
