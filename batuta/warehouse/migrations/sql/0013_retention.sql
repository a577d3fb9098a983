-- Retention of the log: of what it lets go, the events that say how an entity stands are kept, row as it is.

create table batuta.kept_events (like batuta.events including constraints);
alter table batuta.kept_events add primary key (key);
create index kept_events_batch on batuta.kept_events (batch);
create index kept_events_dataset on batuta.kept_events (connector, dataset, batch);

comment on table batuta.kept_events is 'Events that retention took out of the log and that are the newest word on an entity.';

-- What readers of state read: an event stands in one of the two, never in both.
create view batuta.history as
select
    received_at, batch, key, product, source, id, type, subject, time, connector, dataset, dataschema, data, extensions,
    decision, trace
from batuta.events
union all
select
    received_at, batch, key, product, source, id, type, subject, time, connector, dataset, dataschema, data, extensions,
    decision, trace
from batuta.kept_events;

comment on view batuta.history is 'The log, and what retention has kept of what it let go.';

-- Proof of what retention did; written in the transaction that did it.
create table batuta.retention_steps (
    id bigint generated always as identity primary key,
    place text not null check (place in ('log', 'kept_events', 'quarantine')),
    product text not null,
    policy text not null,
    -- The chunk of the log, by received_at; NULL for other places.
    chunk_from timestamptz,
    chunk_to timestamptz,
    rows_found bigint not null,
    rows_kept bigint not null,
    rows_removed bigint not null,
    done_at timestamptz not null,
    check (rows_found = rows_kept + rows_removed)
);

alter table batuta.kept_events owner to batuta_owner;
alter table batuta.retention_steps owner to batuta_owner;
alter view batuta.history owner to batuta_owner;
grant select on batuta.kept_events, batuta.history to batuta_reader, batuta_writer;
grant select on batuta.retention_steps to batuta_reader, batuta_writer, batuta_auditor;
