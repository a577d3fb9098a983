-- Registry of applied manifests, pipeline triggers, skill runs with their records, embeddings, reports.

create table batuta.registry (
    kind text not null,
    name text not null,
    version integer not null check (version > 0),
    digest text not null,
    document jsonb not null,
    origin text not null,
    applied_at timestamptz not null,
    removed_at timestamptz,
    primary key (kind, name, version)
);

-- What KPI models need to know of a product; written by `batuta apply`.
create table batuta.products (
    product text primary key,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    timezone text not null,
    locale text not null,
    applied_at timestamptz not null
);

-- The day up to which each product's daily series reach, so that no model asks the wall clock.
create table batuta.horizons (
    product text primary key,
    as_of date not null
);

-- One row per coalesced trigger: the batches (after, up_to] of one pipeline and product that one run takes.
create table batuta.trigger_windows (
    digest text primary key,
    pipeline text not null,
    product text not null,
    batch_after bigint not null,
    batch_to bigint not null check (batch_to > batch_after),
    event_count integer not null,
    state text not null check (state in ('requested', 'launched')),
    requested_at timestamptz not null,
    run_id text
);

create unique index trigger_windows_open on batuta.trigger_windows (pipeline, product) where state = 'requested';

create table batuta.trigger_events (
    digest text not null references batuta.trigger_windows (digest),
    batch bigint not null,
    product text not null,
    source text not null,
    id text not null,
    type text not null,
    primary key (digest, source, id)
);

-- Content-addressed records: facts, prompts, inputs, outputs, rendered reports.
create table batuta.blobs (
    digest text primary key,
    media_type text not null,
    content bytea not null,
    created_at timestamptz not null
);

create table batuta.skill_runs (
    id text primary key,
    skill text not null,
    skill_version text not null,
    product text not null,
    as_of date not null,
    pipeline text,
    dagster_run_id text,
    trace text,
    caller text not null,
    roles text[] not null,
    locale text not null,
    currency text not null,
    timezone text not null,
    status text not null check (status in ('ok', 'failed', 'denied', 'invalid')),
    error text,
    input_digest text,
    facts_digest text,
    -- Everything a replay needs, by digest: context, clock, seed, queries with their rows, templates.
    record_digest text,
    output_digest text,
    batch_to bigint,
    latency_ms integer not null,
    started_at timestamptz not null,
    finished_at timestamptz not null
);

create index skill_runs_product on batuta.skill_runs (product, skill, as_of, started_at desc);
create index skill_runs_dagster_run on batuta.skill_runs (dagster_run_id);

create table batuta.facts (
    id text primary key,
    skill_run text not null references batuta.skill_runs (id) on delete cascade,
    name text not null,
    value jsonb not null,
    unit text not null,
    as_of date not null,
    -- Where the number came from: relation, filter, columns, query, row count, batch, sample of event ids.
    lineage jsonb not null,
    unique (skill_run, name)
);

-- What facts' lineage points at: event lists and the queries that make them. Content-addressed, no secrets.
create table batuta.lineage_records (
    digest text primary key,
    kind text not null check (kind in ('events', 'query')),
    content text not null
);

-- Texts that were embedded, by entity: the newest version read, and what would have to be embedded anew.
create table batuta.documents (
    product text not null,
    connector text not null,
    dataset text not null,
    source text not null,
    subject text not null,
    event_id text not null,
    version_at timestamptz not null,
    batch bigint not null,
    removed boolean not null,
    -- NULL where there is no text to embed.
    text_digest text,
    model_digest text not null,
    primary key (product, connector, dataset, source, subject)
);

create table batuta.chunks (
    id bytea primary key check (length(id) = 16),
    product text not null,
    connector text not null,
    dataset text not null,
    subject text not null,
    event_source text not null,
    event_id text not null,
    batch bigint not null,
    ordinal integer not null,
    text text not null,
    search tsvector not null,
    embedding vector(384) not null,
    model_digest text not null,
    roles text[] not null,
    created_at timestamptz not null
);

create index chunks_entity on batuta.chunks (product, connector, dataset, event_source, subject);
create index chunks_search on batuta.chunks using gin (search);
create index chunks_embedding on batuta.chunks using hnsw (embedding vector_cosine_ops);

create table batuta.reports (
    id text primary key,
    pipeline text not null,
    product text not null,
    business_date date not null,
    dagster_run_id text,
    digest text not null references batuta.blobs (digest),
    path text not null,
    batch_to bigint,
    created_at timestamptz not null
);

create index reports_day on batuta.reports (pipeline, product, business_date, created_at desc);

-- A report goes out once per pipeline, product, local date, channel and recipient list.
create table batuta.report_deliveries (
    pipeline text not null,
    product text not null,
    business_date date not null,
    channel text not null,
    recipients_digest text not null,
    report text not null references batuta.reports (id),
    state text not null check (state in ('sending', 'sent', 'written', 'failed')),
    message_id text not null,
    attempts integer not null default 1,
    error text,
    updated_at timestamptz not null,
    primary key (pipeline, product, business_date, channel, recipients_digest)
);
