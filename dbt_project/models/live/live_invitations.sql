-- One row per survey and respondent as of the newest committed event.
{{ overlay(
    ref('int_invitations'), invitation_states(batches_committed_unread_by('int_invitations')), invitation_key(), invitation_version()
) }}
