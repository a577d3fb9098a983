-- One row per page that was fetched.
select
    id,
    product,
    connector,
    account,
    counted,
    landed + duplicate + quarantined + filtered as accounted,
    committed_at,
    (committed_at at time zone 'UTC')::date as committed_on
from {{ source('platform', 'pages') }}
