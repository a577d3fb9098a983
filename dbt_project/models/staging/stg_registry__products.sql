-- One row per product: what its numbers are counted in.
select
    product,
    currency,
    timezone as time_zone,
    gross_margin
from {{ source('registry', 'products') }}
