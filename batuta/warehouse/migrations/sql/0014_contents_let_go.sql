-- Attachments and media whose mails and messages retention let go of: noted in that transaction, deleted after it.

create table batuta.contents_let_go (
    product text not null,
    digest text not null check (digest ~ '^sha256:[0-9a-f]{64}$'),
    policy text not null,
    primary key (product, digest)
);

comment on table batuta.contents_let_go is 'Contents of the blob store that events no longer in the log named; those still named elsewhere stay.';

alter table batuta.contents_let_go owner to batuta_owner;
grant select on batuta.contents_let_go to batuta_reader, batuta_writer, batuta_auditor;

alter table batuta.retention_steps drop constraint retention_steps_place_check;
alter table batuta.retention_steps
    add constraint retention_steps_place_check check (place in ('log', 'kept_events', 'quarantine', 'contents'));
