-- One row per issue event of any action. Pull requests are no issues here: GitHub tells of them by events of their own.
select
    events.product,
    events.source as event_source,
    events.id as event_id,
    events.type as event_type,
    events.time as event_time,
    events.received_at,
    events.batch,
    fields.repository ->> 'id' as repository_id,
    fields.repository ->> 'full_name' as repository,
    issue.number,
    issue.title,
    issue.state,
    issue.state_reason,
    issue.user ->> 'id' as author_id,
    issue.user ->> 'login' as author_login,
    issue.user ->> 'type' as author_type,
    issue.labels,
    issue.created_at,
    issue.updated_at,
    issue.closed_at
from {{ source('github', 'issues') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    issue jsonb,
    repository jsonb
)
cross join lateral jsonb_to_record(fields.issue) as issue (
    number bigint,
    title text,
    state text,
    state_reason text,
    "user" jsonb,
    labels jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    closed_at timestamptz
)
where
    events.connector = 'github'
    and events.dataset = 'issues'
