-- What the platform's own KPIs are made of: runs and their steps, what models used, what was classified, what is
-- stored, what was due, how vendors were reached, and what is promised. Moments are UTC; days are days of UTC.

-- One row per Dagster run that has ended. Numbers are drawn by one recorder at a time: number order is commit order.
create table batuta.pipeline_runs (
    run_id text primary key,
    number bigint generated always as identity unique,
    job text not null,
    -- NULL for runs that serve every product, such as the refresh of the marts.
    pipeline text,
    product text,
    business_date date,
    asked_by text not null check (asked_by in ('schedule', 'event', 'sensor', 'backfill', 'retry', 'person')),
    parent_run_id text,
    root_run_id text not null,
    status text not null check (status in ('succeeded', 'failed', 'cancelled')),
    -- code: a step raised; data: a contract held it up; infrastructure: its process, machine or database went away.
    failure_cause text check (failure_cause in ('code', 'data', 'infrastructure')),
    failed_step text,
    -- The scheduled time, where there was one.
    due_at timestamptz,
    queued_at timestamptz not null,
    -- NULL where no process ever began.
    started_at timestamptz,
    finished_at timestamptz not null,
    compute_seconds numeric(18, 3) not null check (compute_seconds >= 0),
    batch_to bigint,
    check ((status = 'failed') = (failure_cause is not null))
);

create index pipeline_runs_finished on batuta.pipeline_runs (((finished_at at time zone 'UTC')::date));
create index pipeline_runs_published on batuta.pipeline_runs (pipeline, product, finished_at) where status = 'succeeded';
create index pipeline_runs_root on batuta.pipeline_runs (root_run_id);
create index pipeline_runs_day on batuta.pipeline_runs (product, business_date);

-- One row per step of a recorded run that began.
create table batuta.pipeline_steps (
    run_id text not null references batuta.pipeline_runs (run_id) on delete cascade,
    step text not null,
    -- The skill whose analysis the step makes; NULL for the other steps.
    skill text,
    -- interrupted: the run ended while the step was at work.
    status text not null check (status in ('succeeded', 'failed', 'interrupted')),
    failure_cause text check (failure_cause in ('code', 'data', 'infrastructure')),
    attempts integer not null check (attempts > 0),
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (run_id, step)
);

-- One row per pipeline, product and scheduled instant, whether or not anything ran.
create table batuta.due_publications (
    pipeline text not null,
    product text not null,
    due_at timestamptz not null,
    business_date date not null,
    primary key (pipeline, product, due_at)
);

-- What language models used in a skill run; a run without a row used none.
create table batuta.model_usage (
    skill_run text not null references batuta.skill_runs (id) on delete cascade,
    model text not null,
    calls integer not null check (calls > 0),
    input_tokens bigint not null check (input_tokens >= 0),
    output_tokens bigint not null check (output_tokens >= 0),
    primary key (skill_run, model)
);

-- One row per verdict of a classifier that differs from its last one on the same item.
create table batuta.classifications (
    product text not null,
    classifier text not null,
    version text not null,
    item text not null,
    class text not null,
    score numeric(7, 4) not null,
    classified_at timestamptz not null,
    skill_run text not null references batuta.skill_runs (id) on delete cascade,
    primary key (product, classifier, item, classified_at)
);

-- What is stored where, as last measured on the day.
create table batuta.storage_days (
    day date not null,
    part text not null,
    bytes bigint not null check (bytes >= 0),
    measured_at timestamptz not null,
    primary key (day, part)
);

-- How a connector's polls went and whether its deliveries were acknowledged.
create table batuta.connector_hours (
    product text not null,
    connector text not null,
    hour timestamptz not null,
    polls bigint not null default 0,
    polls_failed bigint not null default 0,
    deliveries bigint not null default 0,
    deliveries_unacknowledged bigint not null default 0,
    primary key (product, connector, hour)
);

-- What is promised of pipelines and connectors; written by `batuta apply`, defaults included.
create table batuta.objectives (
    kind text not null check (kind in ('pipeline', 'connector')),
    subject text not null,
    product text not null,
    indicator text not null,
    -- Percent that must be good.
    objective numeric(6, 3) not null check (objective > 0 and objective < 100),
    -- For what is to happen within a time.
    within_minutes integer check (within_minutes > 0),
    applied_at timestamptz not null,
    primary key (kind, subject, product, indicator)
);

-- Models read these by the day.
create index skill_runs_finished_on on batuta.skill_runs (((finished_at at time zone 'UTC')::date));
create index completeness_committed_on on batuta.completeness (((committed_at at time zone 'UTC')::date));

do $$
declare
    item text;
begin
    foreach item in array array[
        'pipeline_runs', 'pipeline_steps', 'due_publications', 'model_usage', 'classifications', 'storage_days',
        'connector_hours', 'objectives'
    ] loop
        execute format('alter table batuta.%I owner to batuta_owner', item);
        execute format('grant select, insert on batuta.%I to batuta_writer', item);
        execute format('grant select on batuta.%I to batuta_reader, batuta_auditor', item);
    end loop;
end
$$;

grant update on batuta.storage_days, batuta.connector_hours to batuta_writer;
