-- One row per review of a pull request as of the newest committed event.
{{ overlay(
    ref('int_reviews'), review_states(batches_committed_unread_by('int_reviews')), review_key(), review_version()
) }}
