-- One row per release event of any action.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.type as event_type,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.action,
    fields.repository ->> 'id' as repository_id,
    fields.repository ->> 'full_name' as repository,
    release.id as release_id,
    release.tag_name,
    release.name as title,
    release.author ->> 'id' as author_id,
    release.author ->> 'login' as author_login,
    release.author ->> 'type' as author_type,
    release.draft as is_draft,
    release.prerelease as is_prerelease,
    release.created_at,
    release.updated_at,
    release.published_at
from {{ source('github', 'releases') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    action text,
    release jsonb,
    repository jsonb
)
cross join lateral jsonb_to_record(fields.release) as release (
    id text,
    tag_name text,
    name text,
    author jsonb,
    draft boolean,
    prerelease boolean,
    created_at timestamptz,
    updated_at timestamptz,
    published_at timestamptz
)
where
    events.connector = 'github'
    and events.dataset = 'releases'
