-- One row per model that is refreshed by what is new: how far it has read, and the cut that this run reads to.
{{ config(unique_key='model', post_hook="{{ look_through_seldom() }}") }}

with newest as (
    select coalesce(max(batch), 0) as batch from {{ ref('stg_registry__batches') }}
),

models as (
    select unnest(
        array[
            {% for model in folding_models() -%}
                '{{ model }}'{{ ',' if not loop.last }}
            {% endfor %}
        ]
    ) as model, true as folds_log
    union all
    select unnest(
        array[
            {% for model in derived_models() -%}
                '{{ model }}'{{ ',' if not loop.last }}
            {% endfor %}
        ]
    ) as model, false as folds_log
)

select
    models.model,
    {% if is_incremental() %}
        coalesce(recorded.read_to, 0)::bigint as read_to,
        newest.batch as up_to,
        (coalesce(max(recorded.refresh) over (), 0) + 1)::bigint as refresh,
        coalesce(recorded.done, 0)::bigint as done,
    {% else %}
        0::bigint as read_to,
        newest.batch as up_to,
        1::bigint as refresh,
        0::bigint as done,
    {% endif %}
    models.folds_log
from models
cross join newest
{% if is_incremental() %}
    left join {{ this }} as recorded on models.model = recorded.model
{% endif %}
