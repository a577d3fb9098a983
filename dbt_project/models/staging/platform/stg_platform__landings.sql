-- One row per committed landing.
select
    batch,
    committed_at,
    (committed_at at time zone 'UTC')::date as committed_on,
    way
from {{ source('platform', 'landings') }}
