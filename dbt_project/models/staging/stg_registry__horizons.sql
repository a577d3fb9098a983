-- One row per product: the day its daily series reach at least.
select
    product,
    as_of
from {{ source('registry', 'horizons') }}
