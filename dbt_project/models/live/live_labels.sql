-- One row per labelled message: the newest label of each, as of the newest committed event.
select distinct on (labels.product, labels.message_id)
    labels.product,
    labels.message_id,
    labels.is_fraud,
    labels.fraud_kind,
    labels.event_time as labelled_at,
    labels.event_source,
    labels.event_id,
    labels.received_at,
    labels.batch
from {{ ref('stg_events__labels') }} as labels
where labels.message_id is not null
order by labels.product asc, labels.message_id asc, labels.event_time desc, labels.event_id collate "C" desc
