-- Pages of the records of every kind are ranges of an index. The indexes of plans and tasks, whose tables another program
-- may have made, are brought about by `indexes`.
create index idx_qs_sync_run_org on qs_sync_run (org_id, started_at);
