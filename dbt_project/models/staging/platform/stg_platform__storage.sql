-- One row per day and part.
select
    day,
    part,
    bytes,
    measured_at
from {{ source('platform', 'storage') }}
