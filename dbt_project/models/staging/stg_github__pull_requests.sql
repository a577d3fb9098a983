-- One row per pull request event of any action.
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
    fields.repository ->> 'default_branch' as default_branch,
    pull_request.number,
    pull_request.title,
    pull_request.state,
    pull_request.draft as is_draft,
    pull_request.user ->> 'id' as author_id,
    pull_request.user ->> 'login' as author_login,
    pull_request.user ->> 'type' as author_type,
    pull_request.base ->> 'ref' as base_ref,
    pull_request.created_at,
    pull_request.updated_at,
    pull_request.closed_at,
    pull_request.merged_at,
    pull_request.merge_commit_sha
from {{ source('github', 'pull_requests') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    pull_request jsonb,
    repository jsonb
)
cross join lateral jsonb_to_record(fields.pull_request) as pull_request (
    number bigint,
    title text,
    state text,
    draft boolean,
    "user" jsonb,
    base jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    closed_at timestamptz,
    merged_at timestamptz,
    merge_commit_sha text
)
where
    events.connector = 'github'
    and events.dataset = 'pull_requests'
