-- One row per release as of the newest committed event.
{{ overlay(
    ref('int_releases'), release_states(batches_committed_unread_by('int_releases')), release_key(), release_version()
) }}
