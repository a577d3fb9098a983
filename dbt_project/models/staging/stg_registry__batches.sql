-- One row per committed landing.
select
    batch,
    committed_at
from {{ source('registry', 'batches') }}
