-- A sync that failed gives its caller's key back, so that a repeat runs again; the record of the repeat says which one it
-- repeats. One statement, so that it is made whole or not at all.
alter table qs_sync_run
    -- The first sync with this key, if that one failed.
    add column retry_of varchar(36) null,
    -- The key while it is held: by a sync that runs or that succeeded.
    add column held_key varchar(255) as (case when status = 'failed' then null else idempotency_key end) stored,
    drop key uk_qs_sync_run_key,
    add key idx_qs_sync_run_key (org_id, caller, idempotency_key),
    add unique key uk_qs_sync_run_held_key (org_id, caller, held_key);
