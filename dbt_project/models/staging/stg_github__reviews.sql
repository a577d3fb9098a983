-- One row per pull request review event of any action.
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
    (fields.pull_request ->> 'number')::bigint as number,
    review.id as review_id,
    review.state,
    review.user ->> 'id' as reviewer_id,
    review.user ->> 'login' as reviewer_login,
    review.user ->> 'type' as reviewer_type,
    review.submitted_at
from {{ source('github', 'reviews') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    review jsonb,
    pull_request jsonb,
    repository jsonb
)
cross join lateral jsonb_to_record(fields.review) as review (
    id text,
    state text,
    "user" jsonb,
    submitted_at timestamptz
)
where
    events.connector = 'github'
    and events.dataset = 'reviews'
