-- One row per product and day on which anything changed: the sums of all changes of that day.
{{
    config(
        unique_key=['product', 'business_date'],
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': ['product', 'business_date'], 'unique': true},
            {'columns': ['refresh']},
        ],
    )
}}

with {{ sums_of_days() }}

select
    sums.*,
    {{ this_refresh('int_daily_changes') }}::bigint as refresh
from sums
