-- One row a sync: what was asked, what was done, how it ended.
create table sync_run (
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
    errors text not null default '[]',
    error_message text,
    mark integer,
    started_at text not null,
    finished_at text
) without rowid;

-- At most one of a kind and organisation runs.
create unique index uk_sync_run_running on sync_run (org_id, kind) where status = 'running';
-- A caller's key is used once.
create unique index uk_sync_run_key on sync_run (org_id, caller, idempotency_key) where idempotency_key is not null;
create index idx_sync_run_mark on sync_run (org_id, kind, mark) where status = 'succeeded';
