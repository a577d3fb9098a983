{% macro deployment_key() %}{{ return(['product', 'repository_id', 'deployment_id']) }}{% endmacro %}

{% macro deployment_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# GitHub's own flag, or an environment that is called so: GitHub sets the flag only for the name `production`. #}
{% macro is_production(flag, environment) -%}
    (coalesce({{ flag }}, false) or coalesce(lower({{ environment }}) in ('production', 'prod'), false))
{%- endmacro %}

{% macro deployment_columns() -%}
    product, event_source, event_id, event_time, received_at, batch, repository_id, repository, deployment_id, sha, ref,
    task, environment, is_production_environment, author_id, author_login, author_type, created_at, updated_at
{%- endmacro %}

{#
  Newest state of each deployment among the events of a window, without its statuses. It is told of by its own event and
  within every event of a status.
#}
{% macro deployment_states(window) %}
    with versions as (
        select {{ deployment_columns() }}
        from {{ ref('stg_github__deployments') }}
        where {{ window }}
        union all
        select {{ deployment_columns() }}
        from {{ ref('stg_github__deployment_statuses') }}
        where {{ window }}
    )

    select distinct on (product, coalesce(repository_id, repository), deployment_id)
        product,
        coalesce(repository_id, repository) as repository_id,
        repository,
        deployment_id,
        environment,
        {{ is_production('is_production_environment', 'environment') }} as is_production,
        task,
        ref,
        sha,
        coalesce(author_id, author_login) as author_key,
        coalesce(author_type = 'Bot', false) as is_bot,
        created_at,
        updated_at,
        coalesce(updated_at, event_time) as version_at,
        event_source,
        event_id,
        received_at,
        batch
    from versions
    order by
        product, coalesce(repository_id, repository), deployment_id,
        coalesce(updated_at, event_time) desc, event_id collate "C" desc
{% endmacro %}

{% macro deployment_status_key() %}{{ return(['product', 'repository_id', 'status_id']) }}{% endmacro %}

{% macro deployment_status_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# Newest state of each status of a deployment among the events of a window. #}
{% macro deployment_status_states(window) %}
    select distinct on (product, coalesce(repository_id, repository), status_id)
        product,
        coalesce(repository_id, repository) as repository_id,
        status_id,
        deployment_id,
        status_state as state,
        status_created_at as created_at,
        coalesce(status_updated_at, status_created_at, event_time) as version_at,
        event_source,
        event_id,
        received_at,
        batch
    from {{ ref('stg_github__deployment_statuses') }}
    where {{ window }}
    order by
        product, coalesce(repository_id, repository), status_id,
        coalesce(status_updated_at, status_created_at, event_time) desc, event_id collate "C" desc
{% endmacro %}

{#
  One row per deployment with what became of it. It is finished by its first success: that GitHub calls it `inactive`
  once the next one has succeeded takes nothing back. Of two statuses of one second the greater id is the newer.
#}
{% macro deployments_settled(deployments, statuses) %}
with reported as (select * from {{ deployments }}),

told as (select * from {{ statuses }}),

newest as (
    select distinct on (product, repository_id, deployment_id) *
    from told
    order by product, repository_id, deployment_id, created_at desc, status_id::numeric desc
),

ends as (
    select
        product,
        repository_id,
        deployment_id,
        min(created_at) filter (where state = 'success') as finished_at,
        min(created_at) filter (where state in ('failure', 'error')) as failed_at
    from told
    group by product, repository_id, deployment_id
)

select
    reported.product,
    reported.repository_id,
    reported.repository,
    reported.deployment_id,
    reported.environment,
    reported.is_production,
    reported.task,
    reported.ref,
    reported.sha,
    reported.author_key,
    reported.is_bot,
    coalesce(newest.state, 'pending') as state,
    reported.created_at,
    ends.finished_at,
    ends.failed_at,
    {{ business_date('ends.finished_at', 'products') }} as succeeded_on,
    {{ business_date('ends.failed_at', 'products') }} as failed_on,
    {{ zone_of('products') }} as time_zone,
    greatest(reported.version_at, newest.version_at) as version_at,
    coalesce(newest.event_source, reported.event_source) as event_source,
    coalesce(newest.event_id, reported.event_id) as event_id,
    greatest(reported.received_at, newest.received_at) as received_at,
    greatest(reported.batch, newest.batch) as batch
from reported
left join newest
    on
        reported.product = newest.product
        and reported.repository_id = newest.repository_id
        and reported.deployment_id = newest.deployment_id
left join ends
    on
        reported.product = ends.product
        and reported.repository_id = ends.repository_id
        and reported.deployment_id = ends.deployment_id
left join {{ ref('stg_registry__products') }} as products on reported.product = products.product
{% endmacro %}
