-- One row per order that exists, as of the newest committed event.
{% set states -%}
    {{ overlay(
        ref('int_orders'), order_states(batches_committed_unread_by('int_orders')), order_key(), order_version()
    ) }}
{%- endset %}

select states.*
from ({{ states }}) as states
where not states.is_deleted
