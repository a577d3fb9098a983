{#
  Lead time here is from merge to the first later release of the repository that is neither draft nor pre-release.
  Pull requests of bots, and into other branches than the default one, do not count.

  A release failed if an incident, an issue with such a label, was opened after it and before the next one. It counts as
  failed from its first incident on, for as long as it counts as a release of 90 days. An incident is over when its
  issue is closed.
#}

{# CTEs of a recorded model: the repositories touched since it last ran, and what was merged and released there. #}
{% macro repositories_touched_since(model) %}
touched_repositories as (
    {%- if is_incremental() %}
    {{ states_unread_by(model, ref('int_pull_requests'), 'states.repository_id') }}
    union
    {{ states_unread_by(model, ref('int_releases'), 'states.repository_id') }}
    union
    {{ states_unread_by(model, ref('int_issues'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_issues'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_releases'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_since(model), ref('int_pull_requests'), 'states.repository_id') }}
    {%- else %}
    select product, repository_id from {{ ref('int_pull_requests') }}
    union
    select product, repository_id from {{ ref('int_releases') }}
    union
    select product, repository_id from {{ ref('int_issues') }}
    {%- endif %}
),

{{ repository_states() }}
{% endmacro %}

{# CTEs of a live view: the repositories touched since the recorded models last ran. #}
{% macro repositories_touched_live(recorded_models) %}
arrived_pull_requests as materialized (
    {{ arrived(pull_request_states(batches_committed_unread_by('int_pull_requests'))) }}
),

arrived_releases as materialized (
    {{ arrived(release_states(batches_committed_unread_by('int_releases'))) }}
),

arrived_issues as materialized (
    {{ arrived(issue_states(batches_committed_unread_by('int_issues'))) }}
),

touched_repositories as materialized (
    select product, repository_id from arrived_pull_requests
    union
    select product, repository_id from arrived_releases
    union
    select product, repository_id from arrived_issues
    {%- for model in recorded_models %}
    union
    {{ states_unread_by(model, ref('int_pull_requests'), 'states.repository_id') }}
    union
    {{ states_unread_by(model, ref('int_releases'), 'states.repository_id') }}
    union
    {{ states_unread_by(model, ref('int_issues'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_live(model), ref('int_issues'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_live(model), ref('int_releases'), 'states.repository_id') }}
    union
    {{ states_of_products(settings_changed_live(model), ref('int_pull_requests'), 'states.repository_id') }}
    {%- endfor %}
),

{{ repository_states(live=true) }}
{% endmacro %}

{% macro repository_states(live=false) %}
pull_requests_now as (
    {{ states_of(
        'touched_repositories', ['product', 'repository_id'], ref('int_pull_requests'),
        'arrived_pull_requests' if live, pull_request_key(), pull_request_version()
    ) }}
),

releases_now as materialized (
    select states.*
    from (
        {{ states_of(
            'touched_repositories', ['product', 'repository_id'], ref('int_releases'),
            'arrived_releases' if live, release_key(), release_version()
        ) }}
    ) as states
    where
        states.released_at is not null
        and not states.is_deleted
        and not states.is_draft
        and not states.is_prerelease
),

lead_times as materialized (
    {{ lead_times('pull_requests_now', 'releases_now') }}
),

incidents as materialized (
    select
        issues.product,
        issues.repository_id,
        issues.number,
        issues.created_at as opened_at,
        issues.opened_on,
        issues.closed_at,
        issues.closed_on,
        ceil(extract(epoch from issues.closed_at - issues.created_at) / 60)::numeric(18, 4) as minutes,
        caused.release_id,
        caused.released_on,
        issues.event_source,
        issues.event_id,
        issues.batch
    from (
        {{ states_of(
            'touched_repositories', ['product', 'repository_id'], ref('int_issues'),
            'arrived_issues' if live, issue_key(), issue_version()
        ) }}
    ) as issues
    left join lateral (
        select
            releases.release_id,
            releases.released_on
        from releases_now as releases
        where
            releases.product = issues.product
            and releases.repository_id = issues.repository_id
            and releases.released_at <= issues.created_at
        order by releases.released_at desc, releases.release_id desc
        limit 1
    ) as caused on true
    where issues.is_incident and not issues.is_deleted and issues.opened_on is not null
)
{% endmacro %}

{% macro repository_entities() %}
    select product, repository_id as entity from touched_repositories
{% endmacro %}

{# One row per merged pull request that counts, with the release that brought it out, if there is one. #}
{% macro lead_times(pull_requests, releases) -%}
    select
        moments.product,
        moments.repository_id,
        moments.number,
        moments.merged_at,
        moments.merged_on,
        moments.received_at,
        moments.release_at as released_at,
        moments.released_on,
        moments.released_received_at,
        ceil(extract(epoch from moments.release_at - moments.merged_at) / 60)::numeric(18, 4) as minutes,
        moments.event_source,
        moments.event_id,
        moments.batch
    from (
        select
            happened.*,
            min(happened.own_release_at) over later as release_at,
            min(happened.own_released_on) over later as released_on,
            min(happened.own_received_at) over later as released_received_at
        from (
            select
                pulls.product,
                pulls.repository_id,
                pulls.number,
                pulls.merged_at as happened_at,
                pulls.merged_at,
                pulls.merged_on,
                pulls.received_at,
                pulls.event_source,
                pulls.event_id,
                pulls.batch,
                null::timestamptz as own_release_at,
                null::date as own_released_on,
                null::timestamptz as own_received_at
            from {{ pull_requests }} as pulls
            where pulls.merged_at is not null and not pulls.is_bot and pulls.base_ref = pulls.default_branch
            union all
            select
                releases.product, releases.repository_id, null, releases.released_at, null, null, null, null, null,
                null, releases.released_at, releases.released_on, releases.received_at
            from {{ releases }} as releases
        ) as happened
        window later as (
            partition by happened.product, happened.repository_id
            order by happened.happened_at desc
        )
    ) as moments
    where moments.merged_on is not null
{%- endmacro %}

{# Pull requests wait from their merge to their release; merges and releases bound the series. #}
{% macro delivery_changes() %}
    select
        happened.product,
        happened.repository_id as entity,
        happened.business_date,
        {{ change('delivery', {
            'facts': 'happened.facts', 'releases': 'happened.releases', 'failed_releases': 'happened.failed',
            'open_undeployed': 'happened.waiting'
        }) }}
    from (
        select
            merged.product, merged.repository_id, shown.business_date, shown.facts, 0 as releases, 0 as failed, shown.waiting
        from lead_times as merged
        cross join lateral (
            values
            (merged.merged_on, {{ fact('merged.merged_on', 'merged.received_at') }}, 1),
            (merged.released_on, {{ fact('merged.released_on', 'merged.released_received_at') }}, -1)
        ) as shown (business_date, facts, waiting)
        union all
        select
            releases.product, releases.repository_id, releases.released_on,
            {{ fact('releases.released_on', 'releases.received_at') }}, 1, 0, 0
        from releases_now as releases
        union all
        select
            failed.product, failed.repository_id, shown.business_date, 0, 0, shown.failed, 0
        from (
            select
                incidents.product,
                incidents.repository_id,
                incidents.released_on,
                min(incidents.opened_on) as opened_on
            from incidents
            where incidents.release_id is not null
            group by incidents.product, incidents.repository_id, incidents.release_id, incidents.released_on
        ) as failed
        cross join lateral (
            values (failed.opened_on, 1), (failed.released_on + 90, -1)
        ) as shown (business_date, failed)
        where failed.opened_on < failed.released_on + 90
    ) as happened
{% endmacro %}

{# Columns of a row of fct_incidents and of its live twin. #}
{% macro incident_columns(incidents) %}
    {{ incidents }}.product,
    {{ incidents }}.repository_id,
    {{ incidents }}.number,
    {{ incidents }}.opened_at,
    {{ incidents }}.opened_on,
    {{ incidents }}.closed_at,
    {{ incidents }}.closed_on,
    {{ incidents }}.minutes,
    {{ incidents }}.release_id,
    {{ incidents }}.released_on,
    {{ incidents }}.event_source,
    {{ incidents }}.event_id,
    {{ incidents }}.batch
{% endmacro %}

{# Columns of a row of fct_lead_times and of its live twin. #}
{% macro lead_time_columns(lead_times) %}
    {{ lead_times }}.product,
    {{ lead_times }}.repository_id,
    {{ lead_times }}.number,
    {{ lead_times }}.merged_at,
    {{ lead_times }}.merged_on,
    {{ lead_times }}.released_at,
    {{ lead_times }}.released_on,
    {{ lead_times }}.minutes,
    {{ lead_times }}.event_source,
    {{ lead_times }}.event_id,
    {{ lead_times }}.batch
{% endmacro %}
