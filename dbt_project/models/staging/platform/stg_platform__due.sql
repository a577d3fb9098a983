-- One row per pipeline, product and scheduled instant.
select
    pipeline,
    product,
    due_at,
    business_date
from {{ source('platform', 'due') }}
