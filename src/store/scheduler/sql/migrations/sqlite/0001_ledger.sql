-- The ledger: what is planned, what runs, what came of it. Instants are milliseconds since 1970; words are snake_case.

-- One row: through which instant every occurrence is planned, and which catalog that was by.
create table qs_planner (
    shard integer not null primary key,
    planned_through integer not null,
    catalog integer not null,
    gap_to integer,
    stopped_at integer,
    attempt_base integer not null
) without rowid;

-- One row a session: one life of a process.
create table qs_node (
    id integer not null primary key,
    name text not null,
    address text,
    version text not null,
    started_at integer not null,
    beat integer not null,
    state text not null
);

create table qs_task (
    id integer not null primary key,
    uid text not null,
    source text not null,
    task_key text not null,
    name text not null,
    revision integer not null,
    deleted_at integer,
    unique (source, task_key)
);

-- A revision governs what is due after valid_from and up to valid_to.
create table qs_task_revision (
    task_id integer not null,
    revision integer not null,
    valid_from integer not null,
    valid_to integer,
    catalog integer not null,
    schedule text,
    zone text not null,
    handler text not null,
    target text not null,
    queue text not null,
    policy text not null,
    paused integer not null,
    paused_until integer,
    note text,
    actor text not null,
    made_at integer not null,
    primary key (task_id, revision)
) without rowid;
create index idx_qs_task_revision_catalog on qs_task_revision (catalog);

create table qs_queue (
    name text not null primary key,
    paused integer not null,
    paused_until integer,
    max_size integer,
    workers integer,
    policy text not null
) without rowid;

create table qs_execution (
    id blob not null primary key,
    task_id integer not null,
    revision integer not null,
    scheduled_for integer,
    dedup text not null,
    queue text not null,
    priority integer not null,
    slot text,
    state text not null,
    attempt integer not null,
    failures integer not null,
    losses integer not null,
    max_attempts integer not null,
    run_at integer not null,
    holder integer,
    node integer,
    deadline_at integer,
    cancel_requested integer not null,
    trigger_type text not null,
    parameters text,
    started_at integer,
    finished_at integer,
    outcome text,
    message text,
    traceparent text,
    unique (task_id, dedup)
) without rowid;
create index idx_qs_execution_ready on qs_execution (state, queue, priority desc, run_at, id)
    where state in ('pending', 'retrying');
create index idx_qs_execution_due on qs_execution (state, queue, run_at)
    where state in ('pending', 'retrying');
create index idx_qs_execution_holder on qs_execution (holder) where holder is not null;
create index idx_qs_execution_deadline on qs_execution (deadline_at) where deadline_at is not null;
create index idx_qs_execution_planned on qs_execution (task_id, scheduled_for);

-- An attempt that was not the last one of its execution, or whose result came too late.
create table qs_attempt (
    execution_id blob not null,
    attempt integer not null,
    node integer,
    started_at integer,
    finished_at integer,
    outcome text,
    message text,
    late_at integer,
    late_outcome text,
    late_message text,
    primary key (execution_id, attempt)
) without rowid;

-- The seat that a running execution of a task takes.
create table qs_slot (
    name text not null,
    seat integer not null,
    execution_id blob not null,
    primary key (name, seat)
) without rowid;
create index idx_qs_slot_execution on qs_slot (execution_id);

-- Occurrences that are not executions: the first and the last one, how many, and why.
create table qs_missed (
    task_id integer not null,
    from_at integer not null,
    to_at integer not null,
    count integer not null,
    reason text not null,
    revision integer not null,
    primary key (task_id, from_at)
) without rowid;
