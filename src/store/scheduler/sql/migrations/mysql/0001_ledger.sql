-- The ledger: what is planned, what runs, what came of it. Instants are milliseconds since 1970; words are snake_case.

-- One row: through which instant every occurrence is planned, and which catalog that was by.
create table qs_planner (
    shard int not null primary key,
    planned_through bigint not null,
    catalog bigint not null,
    gap_to bigint null,
    stopped_at bigint null,
    attempt_base bigint not null
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

-- One row a session: one life of a process.
create table qs_node (
    id bigint not null primary key,
    name varchar(255) not null,
    address varchar(255) null,
    version varchar(64) not null,
    started_at bigint not null,
    beat bigint not null,
    state varchar(16) not null
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

create table qs_task (
    id bigint not null primary key,
    uid varchar(36) not null,
    source varchar(16) not null,
    task_key varchar(255) not null,
    name varchar(255) not null,
    revision bigint not null,
    deleted_at bigint null,
    unique key uk_qs_task_key (source, task_key)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

-- A revision governs what is due after valid_from and up to valid_to.
create table qs_task_revision (
    task_id bigint not null,
    revision bigint not null,
    valid_from bigint not null,
    valid_to bigint null,
    catalog bigint not null,
    schedule text null,
    zone varchar(64) not null,
    handler varchar(64) not null,
    target mediumtext not null,
    queue varchar(64) not null,
    policy text not null,
    paused bigint not null,
    paused_until bigint null,
    note varchar(500) null,
    actor varchar(255) not null,
    made_at bigint not null,
    primary key (task_id, revision),
    key idx_qs_task_revision_catalog (catalog)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

create table qs_queue (
    name varchar(64) not null primary key,
    paused bigint not null,
    paused_until bigint null,
    max_size bigint null,
    workers bigint null,
    policy text not null
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

create table qs_execution (
    id binary(16) not null primary key,
    task_id bigint not null,
    revision bigint not null,
    scheduled_for bigint null,
    dedup varchar(40) not null,
    queue varchar(64) not null,
    priority int not null,
    slot varchar(128) null,
    state varchar(12) not null,
    attempt bigint not null,
    failures bigint not null,
    losses bigint not null,
    max_attempts bigint not null,
    run_at bigint not null,
    holder bigint null,
    node bigint null,
    deadline_at bigint null,
    cancel_requested bigint not null,
    trigger_type varchar(12) not null,
    parameters mediumtext null,
    started_at bigint null,
    finished_at bigint null,
    outcome varchar(64) null,
    message varchar(1000) null,
    traceparent varchar(64) null,
    unique key uk_qs_execution_dedup (task_id, dedup),
    key idx_qs_execution_ready (state, queue, priority desc, run_at, id),
    key idx_qs_execution_due (state, queue, run_at),
    key idx_qs_execution_holder (holder),
    key idx_qs_execution_deadline (deadline_at),
    key idx_qs_execution_planned (task_id, scheduled_for)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

-- An attempt that was not the last one of its execution, or whose result came too late.
create table qs_attempt (
    execution_id binary(16) not null,
    attempt bigint not null,
    node bigint null,
    started_at bigint null,
    finished_at bigint null,
    outcome varchar(64) null,
    message varchar(1000) null,
    late_at bigint null,
    late_outcome varchar(64) null,
    late_message varchar(1000) null,
    primary key (execution_id, attempt)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

-- The seat that a running execution of a task takes.
create table qs_slot (
    name varchar(128) not null,
    seat bigint not null,
    execution_id binary(16) not null,
    primary key (name, seat),
    key idx_qs_slot_execution (execution_id)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;

-- Occurrences that are not executions: the first and the last one, how many, and why.
create table qs_missed (
    task_id bigint not null,
    from_at bigint not null,
    to_at bigint not null,
    count bigint not null,
    reason varchar(24) not null,
    revision bigint not null,
    primary key (task_id, from_at)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;
