-- Who may do what: the owner builds, the writer lands, the reader looks, the auditor reads decisions and quarantine.

do $$
declare
    item record;
begin
    for item in select c.oid::regclass as name, c.relkind from pg_class c where c.relnamespace = 'batuta'::regnamespace and c.relkind in ('r', 'S', 'p') loop
        execute format('alter %s %s owner to batuta_owner', case item.relkind when 'S' then 'sequence' else 'table' end, item.name);
    end loop;
end
$$;

grant usage on schema batuta to batuta_writer, batuta_reader, batuta_auditor;
grant select, insert, update on all tables in schema batuta to batuta_writer;
grant usage on all sequences in schema batuta to batuta_writer;
grant delete on batuta.chunks, batuta.trigger_windows to batuta_writer;
revoke update on batuta.events, batuta.inbox, batuta.batches, batuta.decisions, batuta.blobs, batuta.facts from batuta_writer;

grant select on all tables in schema batuta to batuta_reader;
revoke select on batuta.vault, batuta.quarantine, batuta.blobs from batuta_reader;
grant select (digest, media_type, created_at) on batuta.blobs to batuta_reader;

grant select on batuta.decisions, batuta.batches, batuta.registry, batuta.skill_runs, batuta.facts, batuta.blobs, batuta.intake_counts to batuta_auditor;
grant select (id, product, connector, account, way, reason_code, reason, field, attempts, received_at, last_attempt_at, state, replayed_batch) on batuta.quarantine to batuta_auditor;

-- dbt builds here, as the owner; it needs no right to create schemas. New relations are readable at once.
do $$
declare
    layer text;
begin
    foreach layer in array array['batuta_staging', 'batuta_intermediate', 'batuta_marts', 'batuta_live'] loop
        execute format('create schema if not exists %I authorization batuta_owner', layer);
        execute format('grant usage on schema %I to batuta_reader', layer);
    end loop;
end
$$;
