-- One row per registered classifier and class it finds.
with skills as (
    select distinct on (name)
        name,
        document,
        removed_at
    from {{ source('platform', 'registered') }}
    where kind = 'Skill'
    order by name asc, version desc
)

select
    skills.name as classifier,
    found.class
from skills
cross join lateral jsonb_array_elements_text(coalesce(skills.document -> 'classes', '[]'::jsonb)) as found (class)
where skills.removed_at is null
