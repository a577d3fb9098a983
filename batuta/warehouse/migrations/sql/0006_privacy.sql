-- What persons and shops asked for: to be forgotten, to be told what is held. Holds nothing that tells who asked.

create table batuta.privacy_requests (
    -- The key of the event that asked, or a random one for what was asked for by hand.
    key bytea primary key check (length(key) = 16),
    product text not null,
    connector text not null,
    kind text not null check (kind in ('forget_person', 'forget_shop', 'disclose_person')),
    received_at timestamptz not null,
    due_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'done')),
    -- Keyed digest of the pseudonyms it was about: the same person gives the same one, and nothing leads back.
    digest bytea check (length(digest) = 16),
    -- What was changed or found, by place.
    counts jsonb,
    attempts integer not null default 0,
    -- A sentence to a person; no personal data.
    problem text,
    done_at timestamptz
);

create index privacy_requests_open on batuta.privacy_requests (due_at) where state = 'open';

alter table batuta.privacy_requests owner to batuta_owner;
grant select, insert, update on batuta.privacy_requests to batuta_writer;
grant select on batuta.privacy_requests to batuta_reader, batuta_auditor;
