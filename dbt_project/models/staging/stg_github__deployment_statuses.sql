-- One row per deployment status event of any action, with the deployment as it stood then.
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
    deployment.id as deployment_id,
    deployment.sha,
    deployment.ref,
    deployment.task,
    deployment.environment,
    deployment.production_environment as is_production_environment,
    deployment.creator ->> 'id' as author_id,
    deployment.creator ->> 'login' as author_login,
    deployment.creator ->> 'type' as author_type,
    deployment.created_at,
    deployment.updated_at,
    status.id as status_id,
    status.state as status_state,
    status.created_at as status_created_at,
    status.updated_at as status_updated_at
from {{ source('github', 'deployments') }} as events
cross join lateral jsonb_to_record(events.data) as fields (
    deployment jsonb,
    deployment_status jsonb,
    repository jsonb
)
cross join lateral jsonb_to_record(fields.deployment) as deployment (
    id text,
    sha text,
    ref text,
    task text,
    environment text,
    production_environment boolean,
    creator jsonb,
    created_at timestamptz,
    updated_at timestamptz
)
cross join lateral jsonb_to_record(fields.deployment_status) as status (
    id text,
    state text,
    created_at timestamptz,
    updated_at timestamptz
)
where
    events.connector = 'github'
    and events.dataset = 'deployments'
    and starts_with(events.type, 'com.github.deployment_status.')
