{% macro pull_request_key() %}{{ return(['product', 'repository_id', 'number']) }}{% endmacro %}

{% macro pull_request_version() %}{{ return(['version_at', 'event_id']) }}{% endmacro %}

{# Newest state of each pull request among the events of a window. #}
{% macro pull_request_states(window) %}
    with versions as (
        select
            *,
            coalesce(repository_id, repository) as repository_key,
            coalesce(updated_at, event_time) as version_at
        from {{ ref('stg_github__pull_requests') }}
        where {{ window }}
    )

    select distinct on (versions.product, versions.repository_key, versions.number)
        versions.product,
        versions.repository_key as repository_id,
        versions.repository,
        versions.number,
        versions.title,
        versions.state,
        coalesce(versions.is_draft, false) as is_draft,
        coalesce(versions.author_id, versions.author_login) as author_key,
        coalesce(versions.author_type = 'Bot', false) as is_bot,
        versions.base_ref,
        versions.default_branch,
        versions.created_at,
        versions.updated_at,
        versions.closed_at,
        versions.merged_at,
        versions.merge_commit_sha,
        {{ business_date('versions.merged_at', 'products') }} as merged_on,
        {{ zone_of('products') }} as time_zone,
        versions.version_at,
        versions.event_source,
        versions.event_id,
        versions.received_at,
        versions.batch
    from versions
    left join {{ ref('stg_registry__products') }} as products on versions.product = products.product
    order by
        versions.product, versions.repository_key, versions.number,
        versions.version_at desc, versions.event_id collate "C" desc
{% endmacro %}

{% macro release_key() %}{{ return(['product', 'repository_id', 'release_id']) }}{% endmacro %}

{#
  A deletion is final, whatever arrives after it. Where a release carries no time of update its times do not move:
  then the furthest stage (draft, pre-release, release) is the newest.
#}
{% macro release_version() %}{{ return(['is_deleted', 'version_at', 'stage', 'event_id']) }}{% endmacro %}

{# Newest state of each release among the events of a window. #}
{% macro release_states(window) %}
    with versions as (
        select
            *,
            coalesce(repository_id, repository) as repository_key,
            event_type = 'com.github.release.deleted' as is_deleted,
            coalesce(updated_at, event_time) as version_at,
            case when is_draft then 0 when is_prerelease then 1 else 2 end as stage
        from {{ ref('stg_github__releases') }}
        where {{ window }}
    )

    select distinct on (versions.product, versions.repository_key, versions.release_id)
        versions.product,
        versions.repository_key as repository_id,
        versions.repository,
        versions.release_id,
        versions.tag_name,
        versions.title,
        coalesce(versions.author_id, versions.author_login) as author_key,
        coalesce(versions.author_type = 'Bot', false) as is_bot,
        coalesce(versions.is_draft, false) as is_draft,
        coalesce(versions.is_prerelease, false) as is_prerelease,
        versions.is_deleted,
        versions.stage,
        versions.created_at,
        versions.updated_at,
        versions.published_at as released_at,
        {{ business_date('versions.published_at', 'products') }} as released_on,
        {{ zone_of('products') }} as time_zone,
        versions.version_at,
        versions.event_source,
        versions.event_id,
        versions.received_at,
        versions.batch
    from versions
    left join {{ ref('stg_registry__products') }} as products on versions.product = products.product
    order by
        versions.product, versions.repository_key, versions.release_id,
        versions.is_deleted desc, versions.version_at desc, versions.stage desc, versions.event_id collate "C" desc
{% endmacro %}

{% macro issue_key() %}{{ return(['product', 'repository_id', 'number']) }}{% endmacro %}

{# A deletion is final, and so is the transfer to another repository, where the issue has another number. #}
{% macro issue_version() %}{{ return(['is_deleted', 'version_at', 'event_id']) }}{% endmacro %}

{# Labels that make an issue an incident, in lower case; case does not count. #}
{% macro incident_labels() %}{{ return(['incident', 'incidente', 'production-incident']) }}{% endmacro %}

{# Newest state of each issue among the events of a window. #}
{% macro issue_states(window) %}
    with versions as (
        select
            *,
            coalesce(repository_id, repository) as repository_key,
            event_type in ('com.github.issues.deleted', 'com.github.issues.transferred') as is_deleted,
            coalesce(updated_at, event_time) as version_at,
            array(
                select label.name
                from jsonb_to_recordset(labels) as label (name text)
                order by label.name collate "C"
            ) as label_names
        from {{ ref('stg_github__issues') }}
        where {{ window }}
    )

    select distinct on (versions.product, versions.repository_key, versions.number)
        versions.product,
        versions.repository_key as repository_id,
        versions.repository,
        versions.number,
        versions.title,
        coalesce(versions.state, case when versions.closed_at is null then 'open' else 'closed' end) as state,
        versions.state_reason,
        versions.label_names as labels,
        lower(versions.label_names::text)::text [] && array['{{ incident_labels() | join("', '") }}'] as is_incident,
        coalesce(versions.author_id, versions.author_login) as author_key,
        coalesce(versions.author_type = 'Bot', false) as is_bot,
        versions.is_deleted,
        versions.created_at,
        versions.updated_at,
        versions.closed_at,
        {{ business_date('versions.created_at', 'products') }} as opened_on,
        {{ business_date('versions.closed_at', 'products') }} as closed_on,
        {{ zone_of('products') }} as time_zone,
        versions.version_at,
        versions.event_source,
        versions.event_id,
        versions.received_at,
        versions.batch
    from versions
    left join {{ ref('stg_registry__products') }} as products on versions.product = products.product
    order by
        versions.product, versions.repository_key, versions.number,
        versions.is_deleted desc, versions.version_at desc, versions.event_id collate "C" desc
{% endmacro %}

{% macro review_key() %}{{ return(['product', 'repository_id', 'review_id']) }}{% endmacro %}

{# A review has no time of update; what can become of its state is a dismissal, and that is final. #}
{% macro review_version() %}{{ return(['is_dismissed', 'version_at', 'event_id']) }}{% endmacro %}

{# Newest state of each review among the events of a window. Webhooks and REST write states in different case. #}
{% macro review_states(window) %}
    with versions as (
        select
            *,
            coalesce(repository_id, repository) as repository_key,
            lower(state) = 'dismissed' as is_dismissed,
            coalesce(submitted_at, event_time) as version_at
        from {{ ref('stg_github__reviews') }}
        where {{ window }}
    )

    select distinct on (product, repository_key, review_id)
        product,
        repository_key as repository_id,
        repository,
        review_id,
        number,
        coalesce(reviewer_id, reviewer_login) as reviewer_key,
        coalesce(reviewer_type = 'Bot', false) as is_bot,
        lower(state) as state,
        is_dismissed,
        submitted_at,
        version_at,
        event_source,
        event_id,
        received_at,
        batch
    from versions
    order by product, repository_key, review_id, is_dismissed desc, version_at desc, event_id collate "C" desc
{% endmacro %}
