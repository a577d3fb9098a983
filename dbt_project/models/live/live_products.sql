-- One row per catalogue item as of the newest committed event.
{{ overlay(
    ref('int_products'), catalogue_states(batches_committed_unread_by('int_products')), catalogue_key(), catalogue_version()
) }}
