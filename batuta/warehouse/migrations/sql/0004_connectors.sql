-- What fetching needs: known items, how accounts stand, wake-ups, completeness, push channels, places on the bus.
-- `account` is an account's name in the manifest, '' for the one without a name.

-- Known items of state feeds (a drive, a vault, a mailbox). Ids lie here as keyed digests only, the rest is encrypted.
create table batuta.entities (
    product text not null,
    connector text not null,
    account text not null default '',
    digest bytea not null check (length(digest) = 16),
    -- Digest of the id of the folder it lies in.
    parent bytea check (length(parent) = 16),
    -- AES-GCM over id, parent, state and mark; the key stays outside the database.
    key_id text not null,
    nonce bytea not null,
    payload bytea not null,
    updated_at timestamptz not null,
    primary key (product, connector, account, digest)
);

create index entities_parent on batuta.entities (product, connector, account, parent) where parent is not null;

create table batuta.accounts (
    product text not null,
    connector text not null,
    account text not null default '',
    -- What the account was bound to when this was written: another binding (a new token, another mailbox) begins anew.
    binding_digest text,
    last_attempt_at timestamptz,
    last_success_at timestamptz,
    next_due_at timestamptz,
    failures integer not null default 0 check (failures >= 0),
    -- A sentence to a person; no personal data.
    problem text,
    paused_until timestamptz,
    stopped_at timestamptz,
    stopped_reason text,
    primary key (product, connector, account)
);

-- Accounts that are said to have news: pending where taken_at is null or before at.
create table batuta.wakeups (
    product text not null,
    connector text not null,
    account text not null default '',
    at timestamptz not null,
    taken_at timestamptz,
    primary key (product, connector, account)
);

-- One row per page that was fetched: counted = landed + duplicate + quarantined + filtered, else something is missing.
create table batuta.completeness (
    id bigint generated always as identity primary key,
    product text not null,
    connector text not null,
    account text not null default '',
    window_start timestamptz,
    window_end timestamptz,
    way text not null,
    -- What the source says it handed over on this page, and its own count of the whole poll or window.
    counted integer not null check (counted >= 0),
    total bigint,
    landed integer not null check (landed >= 0),
    duplicate integer not null check (duplicate >= 0),
    quarantined integer not null check (quarantined >= 0),
    filtered integer not null check (filtered >= 0),
    committed_at timestamptz not null
);

create index completeness_account on batuta.completeness (product, connector, account, committed_at);

-- Push channels at the vendor, as the last audit found them.
create table batuta.subscriptions (
    product text not null,
    connector text not null,
    account text not null default '',
    name text not null,
    state text not null check (state in ('active', 'created', 'renewed', 'missing', 'failing', 'disabled')),
    detail text,
    expires_at timestamptz,
    reference jsonb not null default '{}',
    checked_at timestamptz not null,
    primary key (product, connector, account, name)
);

-- How far the bus has been landed; moved in the transaction of the rows it covers.
create table batuta.bus_offsets (
    topic text not null,
    partition integer not null,
    next_offset bigint not null check (next_offset >= 0),
    primary key (topic, partition)
);

do $$
declare
    item text;
begin
    foreach item in array array['entities', 'accounts', 'wakeups', 'completeness', 'subscriptions', 'bus_offsets'] loop
        execute format('alter table batuta.%I owner to batuta_owner', item);
        execute format('grant select, insert, update on batuta.%I to batuta_writer', item);
    end loop;
end
$$;

revoke update on batuta.completeness from batuta_writer;
grant delete on batuta.entities, batuta.wakeups, batuta.subscriptions to batuta_writer;
grant select on batuta.accounts, batuta.wakeups, batuta.completeness, batuta.subscriptions, batuta.bus_offsets to batuta_reader;
grant select on batuta.accounts, batuta.completeness, batuta.subscriptions to batuta_auditor;
