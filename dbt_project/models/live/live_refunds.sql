-- One row per refund as of the newest committed event, with what became of its money.
{% set reported -%}
    ({{ overlay(
        ref('int_refunds_reported'),
        refund_states(batches_committed_unread_by('int_refunds_reported')),
        refund_key(),
        refund_version()
    ) }})
{%- endset %}

{{ refunds_settled(reported, ref('live_transactions')) }}
