-- One row per survey and respondent: the first invitation.
{{
    config(
        unique_key=invitation_key(),
        pre_hook="{{ follow_time_zone('business_date', 'sent_at') }}",
        post_hook="{{ mark_read() }}",
        indexes=[
            {'columns': invitation_key(), 'unique': true},
            {'columns': ['product', 'respondent_key']},
            {'columns': ['batch']},
        ],
    )
}}

{{ fold(invitation_states(batches_of_this_run('int_invitations')), invitation_key(), invitation_version()) }}
