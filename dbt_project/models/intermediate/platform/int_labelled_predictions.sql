-- One row per label of a classified item: what the classifier had said before, and what a person found out.
-- Labels come late and are corrected: each holds from the day it was received until the next one of its item.
with labels as (
    select
        product,
        message_id as item,
        'fraud' as class,
        is_fraud as is_of_class,
        event_time as labelled_at,
        (received_at at time zone 'UTC')::date as valid_from,
        lead((received_at at time zone 'UTC')::date) over (
            partition by product, message_id order by received_at, event_id collate "C"
        ) as valid_to
    from {{ ref('stg_events__labels') }}
    where message_id is not null
)

select
    labels.product,
    said.classifier,
    labels.item,
    labels.class,
    said.class = labels.class as is_predicted,
    labels.is_of_class,
    labels.labelled_at,
    labels.valid_from,
    labels.valid_to
from labels
inner join {{ ref('stg_platform__classifiers') }} as classifiers on labels.class = classifiers.class
inner join lateral (
    select
        verdicts.classifier,
        verdicts.class
    from {{ ref('stg_platform__classifications') }} as verdicts
    where
        verdicts.product = labels.product
        and verdicts.classifier = classifiers.classifier
        and verdicts.item = labels.item
        and verdicts.classified_at < labels.labelled_at
    order by verdicts.classified_at desc
    limit 1
) as said on true
where labels.valid_to is null or labels.valid_to > labels.valid_from
