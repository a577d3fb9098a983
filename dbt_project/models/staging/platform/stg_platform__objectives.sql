-- One row per kind, subject, product and indicator.
select
    kind,
    subject,
    product,
    indicator,
    objective,
    within_minutes,
    applied_at
from {{ source('platform', 'objectives') }}
