-- A sync that failed gives its caller's key back, so that a repeat runs again; the record of the repeat says which one it
-- repeats. SQLite cannot take a constraint away from a table, so the table is made anew.
create table qs_sync_run_new (
    id text not null primary key,
    kind text not null,
    org_id integer not null,
    trigger_type text not null,
    caller text not null,
    idempotency_key text,
    -- The first sync with this key, if that one failed.
    retry_of text,
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
    -- The key while it is held: by a sync that runs or that succeeded.
    held_key text generated always as (case when status = 'failed' then null else idempotency_key end) virtual
) without rowid;

insert into qs_sync_run_new (id, kind, org_id, trigger_type, caller, idempotency_key, request, window_start, window_end,
    status, scanned, written, unchanged, skipped, failed, errors, error_message, detail, mark, lease, lease_until,
    started_at, finished_at)
select id, kind, org_id, trigger_type, caller, idempotency_key, request, window_start, window_end, status, scanned,
    written, unchanged, skipped, failed, errors, error_message, detail, mark, lease, lease_until, started_at, finished_at
from qs_sync_run;

drop table qs_sync_run;
alter table qs_sync_run_new rename to qs_sync_run;

create unique index uk_qs_sync_run_held_key on qs_sync_run (org_id, caller, held_key);
create index idx_qs_sync_run_key on qs_sync_run (org_id, caller, idempotency_key);
create index idx_qs_sync_run_kind on qs_sync_run (org_id, kind, started_at);
create index idx_qs_sync_run_started on qs_sync_run (started_at);
create index idx_qs_sync_run_lease on qs_sync_run (status, lease_until);
