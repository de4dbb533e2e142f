-- One row a sync: what was asked, what was done, how it ended. Instants are milliseconds since 1970.
create table qs_sync_run (
    id varchar(36) not null primary key,
    kind varchar(32) not null,
    org_id bigint not null,
    trigger_type varchar(32) not null,
    caller varchar(255) not null,
    idempotency_key varchar(255) null,
    request varchar(1000) not null,
    window_start varchar(10) null,
    window_end varchar(10) null,
    status varchar(16) not null,
    scanned bigint not null default 0,
    written bigint not null default 0,
    unchanged bigint not null default 0,
    skipped bigint not null default 0,
    failed bigint not null default 0,
    errors mediumtext not null,
    error_message text null,
    detail mediumtext null,
    mark varchar(100) null,
    -- The exclusive right of a running sync, and until when it is held without renewal.
    lease varchar(64) null,
    lease_until bigint null,
    started_at bigint not null,
    finished_at bigint null,
    unique key uk_qs_sync_run_lease (lease),
    -- A caller's key is used once.
    unique key uk_qs_sync_run_key (org_id, caller, idempotency_key),
    key idx_qs_sync_run_kind (org_id, kind, started_at),
    key idx_qs_sync_run_started (started_at),
    key idx_qs_sync_run_lease (status, lease_until)
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;
