-- One row per product and day, without gaps.
{{
    config(
        pre_hook="{{ forget_days() }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'business_date'], 'unique': true},
        ],
    )
}}

{% set batch -%} (select coalesce(max(position.up_to), 0) from {{ ref('int_log_position') }} as position) {%- endset %}

with starts as (
    {{ days_to_reckon() }}
)

select days.*
from (
    {{ product_days('starts', ref('int_daily_changes'), ref('fct_lead_times'), ref('fct_incidents'), batch) }}
) as days
