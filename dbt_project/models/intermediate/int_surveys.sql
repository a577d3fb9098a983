-- One row per answer to a survey.
{{
    config(
        unique_key=survey_key(),
        pre_hook="{{ follow_time_zone('business_date', 'answered_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': survey_key(), 'unique': true},
            {'columns': ['product', 'respondent_key']},
            {'columns': ['batch']},
        ],
    )
}}

{{ fold(survey_states(batches_of_this_run('int_surveys')), survey_key(), survey_version()) }}
