-- One row per verdict of a classifier on an item that differs from its last one.
select
    product,
    classifier,
    version,
    item,
    class,
    score,
    classified_at,
    skill_run as skill_run_id
from {{ source('platform', 'classifications') }}
