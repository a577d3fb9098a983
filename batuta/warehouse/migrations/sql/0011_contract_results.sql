-- How the data stand with their contracts. What is kept is what was broken and when each contract was last checked; a
-- product that breaks nothing has no row, however many products and rules there are.

create table batuta.contract_checks (
    contract text primary key,
    version text not null,
    digest text not null,
    checked_at timestamptz not null,
    -- The last batch that the checked relation takes in.
    batch bigint not null,
    run_id text,
    rules integer not null,
    products integer not null,
    -- The datasets its relation is made of, as shopify/orders; NULL where nobody knows, so that it concerns all.
    sources text[],
    -- Why the data could not be held to it at all; then nothing runs on them.
    problem text
);

create table batuta.contract_breaks (
    contract text not null,
    version text not null,
    rule text not null,
    -- '' is the whole company: what does not belong to one product.
    product text not null,
    severity text not null check (severity in ('error', 'warning')),
    -- Who found it: the quick rules of each refresh, or the suite of Great Expectations.
    found_by text not null check (found_by in ('rules', 'suite')),
    since timestamptz not null,
    since_batch bigint not null,
    seen_at timestamptz not null,
    broken_rows bigint not null,
    detail text not null,
    -- The first rows that break it: keys, values, events; masked as everything in the log.
    evidence jsonb not null default '[]',
    run_id text,
    mended_at timestamptz
);

create unique index contract_breaks_open on batuta.contract_breaks (contract, rule, product) where mended_at is null;
create index contract_breaks_product on batuta.contract_breaks (product, since);

alter table batuta.contract_checks owner to batuta_owner;
alter table batuta.contract_breaks owner to batuta_owner;
grant select, insert, update, delete on batuta.contract_checks to batuta_writer;
grant select, insert, update on batuta.contract_breaks to batuta_writer;
grant select on batuta.contract_checks, batuta.contract_breaks to batuta_reader, batuta_auditor;
