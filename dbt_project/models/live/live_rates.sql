-- One row per pair of currencies and day as of the newest committed event.
{{ overlay(
    ref('int_rates'), rate_states(batches_committed_unread_by('int_rates')), rate_key(), rate_version()
) }}
