-- One row per answer as of the newest committed event.
{{ overlay(
    ref('int_surveys'), survey_states(batches_committed_unread_by('int_surveys')), survey_key(), survey_version()
) }}
