-- The event log and what guards its way in: batches, inbox, quarantine, decisions, vault, cursors.
-- Roles are cluster-wide and may already exist; everything else belongs to this database.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['batuta_owner', 'batuta_writer', 'batuta_reader', 'batuta_auditor'] loop
        begin
            execute format('create role %I nologin', role_name);
        exception when duplicate_object or unique_violation then
            null;
        end;
        if not pg_has_role(current_user, role_name, 'member') then
            execute format('grant %I to %I', role_name, current_user);
        end if;
    end loop;
end
$$;

create extension if not exists timescaledb;
create extension if not exists vector;

create schema if not exists batuta authorization batuta_owner;

-- Batch numbers are drawn under an advisory lock that is held to commit: number order is commit order.
create sequence batuta.batch_numbers as bigint;

create table batuta.batches (
    batch bigint primary key,
    committed_at timestamptz not null,
    way text not null check (way in ('webhook', 'poll', 'backfill', 'replay', 'post', 'file')),
    landed integer not null check (landed >= 0)
);

-- One row per product, event type, policy and contract: what was decided, applied to every row as a plan.
create table batuta.decisions (
    id bytea primary key check (length(id) = 16),
    product text not null,
    event_type text not null,
    policy text not null,
    policy_digest text not null,
    contract text not null,
    contract_digest text not null,
    allowed boolean not null,
    plan jsonb not null,
    decided_at timestamptz not null
);

create table batuta.events (
    received_at timestamptz not null,
    batch bigint not null,
    key bytea not null check (length(key) = 16),
    product text not null,
    source text not null,
    id text not null,
    type text not null,
    subject text,
    time timestamptz not null,
    connector text not null,
    dataset text not null,
    dataschema text not null,
    data jsonb not null,
    extensions jsonb,
    -- Of batuta.decisions; written in the same transaction, and too costly to check row by row.
    decision bytea not null,
    trace text
);

select create_hypertable('batuta.events', 'received_at', chunk_time_interval => interval '7 days', create_default_indexes => false);

create unique index events_key on batuta.events (key, received_at);
create index events_batch on batuta.events (batch);
create index events_dataset on batuta.events (connector, dataset, batch);

comment on table batuta.events is 'The event log: governed CloudEvents, personal data masked before the first write.';

-- (product, source, id) lands once, ever; the digest keeps the key at 16 bytes.
create table batuta.inbox (
    key bytea primary key check (length(key) = 16),
    batch bigint not null,
    received_at timestamptz not null,
    -- Digest of (product, dataset, entity, version): keeps a backfill from adding what a webhook already brought.
    entity_version bytea check (length(entity_version) = 16),
    -- Keyed digest of the raw body: one body under two ids is worth a look, never a reason to drop.
    body_digest bytea check (length(body_digest) = 16)
);

create index inbox_entity_version on batuta.inbox (entity_version) where entity_version is not null;

create table batuta.quarantine (
    id uuid primary key default gen_random_uuid(),
    product text not null,
    connector text not null,
    account text,
    way text not null,
    digest bytea not null check (length(digest) = 16),
    reason_code text not null,
    reason text not null,
    field text,
    -- AES-GCM over headers and raw body; the key stays outside the database.
    key_id text not null,
    nonce bytea not null,
    payload bytea not null,
    attempts integer not null default 1,
    received_at timestamptz not null,
    last_attempt_at timestamptz not null,
    state text not null default 'held' check (state in ('held', 'replayed', 'discarded')),
    replayed_batch bigint,
    unique (product, connector, digest)
);

-- What came and was not landed, so that source count = landed + duplicate + quarantined + filtered.
create table batuta.intake_counts (
    product text not null,
    connector text not null,
    dataset text not null,
    hour timestamptz not null,
    landed bigint not null default 0,
    duplicate bigint not null default 0,
    quarantined bigint not null default 0,
    filtered bigint not null default 0,
    dropped_fields bigint not null default 0,
    primary key (product, connector, dataset, hour)
);

-- Reversible tokens: AES-GCM under a key kept outside the database, bound to product and kind.
create table batuta.vault (
    token text primary key,
    product text not null,
    kind text not null,
    key_id text not null,
    nonce bytea not null,
    ciphertext bytea not null,
    created_at timestamptz not null
);

-- Which master keys this database was filled with; the keys themselves stay outside.
create table batuta.key_fingerprint (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null
);

-- Positions of readers (batch numbers) and of polls (whatever the vendor calls a cursor).
create table batuta.cursors (
    consumer text not null,
    product text not null default '',
    position jsonb not null,
    updated_at timestamptz not null,
    primary key (consumer, product)
);
