{#
  Lead time here is from merge to the first later release of the repository that is neither draft nor pre-release.
  Pull requests of bots, and into other branches than the default one, do not count.
#}

{# One row per merged pull request, with the release that brought it out, if there is one. #}
{% macro merged_pull_requests(pull_requests, releases) -%}
    select
        moments.product,
        moments.merged_on,
        moments.received_at,
        moments.release_at,
        moments.released_on,
        moments.released_received_at,
        ceil(extract(epoch from moments.release_at - moments.happened_at) / 60) as minutes
    from (
        select
            happened.product,
            happened.happened_at,
            happened.merged_on,
            happened.received_at,
            min(happened.release_at) over later as release_at,
            min(happened.released_on) over later as released_on,
            min(happened.released_received_at) over later as released_received_at
        from (
            select
                pulls.product,
                pulls.repository_id,
                pulls.merged_at as happened_at,
                pulls.merged_on,
                pulls.received_at,
                null::timestamptz as release_at,
                null::date as released_on,
                null::timestamptz as released_received_at
            from {{ pull_requests }} as pulls
            where pulls.merged_at is not null and not pulls.is_bot and pulls.base_ref = pulls.default_branch
            union all
            select
                releases.product,
                releases.repository_id,
                releases.released_at,
                null::date,
                null::timestamptz,
                releases.released_at,
                releases.released_on,
                releases.received_at
            from {{ releases }} as releases
            where
                releases.released_at is not null
                and not releases.is_deleted
                and not releases.is_draft
                and not releases.is_prerelease
        ) as happened
        window later as (
            partition by happened.product, happened.repository_id
            order by happened.happened_at desc
        )
    ) as moments
    where moments.merged_on is not null
{%- endmacro %}

{# Per product and day: the lead times of what came out within the 90 days that end on it. #}
{% macro lead_times_by_day(pull_requests, releases) -%}
    select
        merged.product,
        day.day::date as business_date,
        count(*) as deployed,
        sum(merged.minutes) as minutes_sum,
        percentile_cont(0.5) within group (order by merged.minutes::double precision)::numeric as minutes_median,
        percentile_cont(0.9) within group (order by merged.minutes::double precision)::numeric as minutes_p90
    from ({{ merged_pull_requests(pull_requests, releases) }}) as merged
    cross join lateral generate_series(
        merged.released_on::timestamp, (merged.released_on + 89)::timestamp, interval '1 day'
    ) as day (day)
    where merged.released_on is not null
    group by merged.product, day.day
{%- endmacro %}
