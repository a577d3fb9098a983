-- grain: one row per message of the history, with what was known when it came
-- units: counts of earlier messages
-- relations: live_messages, live_labels
-- filter: messages to the product up to the day; labels given up to its end count for later messages only
with messages as materialized (
    select
        message_id, sender_key, sent_at, business_date, is_forwarded, is_frequently_forwarded, is_executable,
        media_hash, wording, links, pix_keys, event_source, event_id
    from batuta_live.live_messages
    where product = %(product)s
        and business_date between %(as_of)s::date - (%(days)s::int - 1) and %(as_of)s::date
),

labels as materialized (
    select message_id, is_fraud, labelled_at, event_source, event_id
    from batuta_live.live_labels
    where product = %(product)s
        and (labelled_at at time zone %(timezone)s)::date <= %(as_of)s::date
),

-- What a message has in common with others.
marks as materialized (
    select message_id, sender_key, sent_at, 'sender' as kind, sender_key as mark
    from messages
    where sender_key is not null
    union all
    select message_id, sender_key, sent_at, 'media', media_hash
    from messages
    where media_hash is not null
    union all
    select m.message_id, m.sender_key, m.sent_at, 'link', l.link ->> 'domain'
    from messages as m
    cross join lateral jsonb_array_elements(m.links) as l (link)
    where not coalesce((l.link ->> 'shortener')::boolean, false)
    union all
    select
        m.message_id, m.sender_key, m.sent_at, 'pix',
        coalesce(p.pix ->> 'random', p.pix ->> 'email', p.pix ->> 'phone', p.pix ->> 'cpf', p.pix ->> 'cnpj')
    from messages as m
    cross join lateral jsonb_array_elements(m.pix_keys) as p (pix)
),

known_frauds as materialized (
    select marks.kind, marks.mark, marks.message_id, labels.labelled_at
    from marks
    inner join labels using (message_id)
    where labels.is_fraud
),

shared as (
    select
        marks.message_id,
        count(distinct known.message_id) filter (where marks.kind = 'sender') as sender_frauds,
        count(distinct known.message_id) filter (where marks.kind = 'media') as media_frauds,
        count(distinct known.message_id) filter (where marks.kind = 'link') as link_frauds,
        count(distinct known.message_id) filter (where marks.kind = 'pix') as pix_frauds
    from marks
    inner join known_frauds as known
        on marks.kind = known.kind
        and marks.mark = known.mark
        and marks.message_id <> known.message_id
        and marks.sent_at > known.labelled_at
    group by marks.message_id
),

spread as (
    select marks.message_id, count(distinct other.sender_key) as media_senders
    from marks
    inner join marks as other
        on marks.kind = 'media'
        and other.kind = 'media'
        and marks.mark = other.mark
        and other.sent_at < marks.sent_at
        and marks.sender_key is distinct from other.sender_key
    group by marks.message_id
)

select
    m.message_id, m.sender_key, m.sent_at, m.business_date, m.is_forwarded, m.is_frequently_forwarded, m.is_executable,
    m.wording, m.links, jsonb_array_length(m.pix_keys) as pix_keys, m.event_source, m.event_id,
    row_number() over (partition by m.sender_key order by m.sent_at, m.event_id collate "C") - 1 as sender_messages,
    coalesce(shared.sender_frauds, 0) as sender_frauds,
    coalesce(shared.media_frauds, 0) as media_frauds,
    coalesce(shared.link_frauds, 0) as link_frauds,
    coalesce(shared.pix_frauds, 0) as pix_frauds,
    coalesce(spread.media_senders, 0) as media_senders,
    labels.is_fraud,
    labels.labelled_at,
    labels.event_source as label_source,
    labels.event_id as label_id
from messages as m
left join shared using (message_id)
left join spread using (message_id)
left join labels using (message_id)
order by m.sent_at, m.event_id collate "C"
