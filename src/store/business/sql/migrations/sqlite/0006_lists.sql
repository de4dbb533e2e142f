-- An assessment belongs to one task of an organisation; other organisations number theirs by themselves. SQLite cannot
-- take a `unique` back, so the table is made anew.
create table assessment_task_new (
    id integer not null primary key,
    plan_id integer not null,
    seq integer not null,
    org_id integer not null,
    testee_id integer not null,
    scale_code text not null,
    planned_at text not null,
    open_at text,
    expire_at text,
    completed_at text,
    status text not null default 'pending',
    assessment_id integer,
    entry_token text,
    entry_url text,
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    created_by integer not null default 0,
    updated_by integer not null default 0,
    deleted_by integer not null default 0,
    version integer not null default 1
);
insert into assessment_task_new (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, open_at, expire_at,
    completed_at, status, assessment_id, entry_token, entry_url, created_at, updated_at, deleted_at, created_by,
    updated_by, deleted_by, version)
select id, plan_id, seq, org_id, testee_id, scale_code, planned_at, open_at, expire_at,
    completed_at, status, assessment_id, entry_token, entry_url, created_at, updated_at, deleted_at, created_by,
    updated_by, deleted_by, version from assessment_task;
drop table assessment_task;
alter table assessment_task_new rename to assessment_task;
create unique index uk_assessment_task_assessment on assessment_task (org_id, assessment_id);
create index idx_assessment_task_plan on assessment_task (plan_id, testee_id, seq);
create index idx_assessment_task_overdue on assessment_task (org_id, status, expire_at);

-- The lists: what restricts one, what a deleted row lacks, and then the order, which the id ends of itself.
create index idx_assessment_task_planned on assessment_task (org_id, deleted_at, planned_at);
create index idx_assessment_task_due on assessment_task (org_id, deleted_at, status, planned_at);
create index idx_assessment_task_plan_planned on assessment_task (org_id, plan_id, deleted_at, planned_at);
create index idx_assessment_task_plan_status on assessment_task (org_id, plan_id, deleted_at, status, planned_at);
create index idx_assessment_task_testee on assessment_task (org_id, testee_id, deleted_at, planned_at);

drop index idx_assessment_plan_org;
create index idx_assessment_plan_list on assessment_plan (org_id, deleted_at);
create index idx_assessment_plan_status on assessment_plan (org_id, deleted_at, status);
create index idx_assessment_plan_scale on assessment_plan (org_id, deleted_at, scale_code);

create index idx_qs_sync_run_org on qs_sync_run (org_id, started_at);
