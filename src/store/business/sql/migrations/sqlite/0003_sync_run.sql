-- One row a sync: what was asked, what was done, how it ended. Instants are milliseconds since 1970.
create table qs_sync_run (
    id text not null primary key,
    kind text not null,
    org_id integer not null,
    trigger_type text not null,
    caller text not null,
    idempotency_key text,
    request text not null,
    window_start text,
    window_end text,
    status text not null,
    scanned integer not null default 0,
    written integer not null default 0,
    unchanged integer not null default 0,
    skipped integer not null default 0,
    failed integer not null default 0,
    errors text not null,
    error_message text,
    detail text,
    mark text,
    -- The exclusive right of a running sync, and until when it is held without renewal.
    lease text unique,
    lease_until integer,
    started_at integer not null,
    finished_at integer,
    -- A caller's key is used once.
    unique (org_id, caller, idempotency_key)
) without rowid;
create index idx_qs_sync_run_kind on qs_sync_run (org_id, kind, started_at);
create index idx_qs_sync_run_started on qs_sync_run (started_at);
create index idx_qs_sync_run_lease on qs_sync_run (status, lease_until);
