create table assessment_plan (
    id integer not null primary key,
    org_id integer not null,
    scale_code text not null,
    schedule_type text not null,
    "interval" integer not null default 0,
    total_times integer not null,
    fixed_dates text,
    relative_weeks text,
    status text not null default 'active',
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    created_by integer not null default 0,
    updated_by integer not null default 0,
    deleted_by integer not null default 0,
    version integer not null default 1
);
create index idx_assessment_plan_org on assessment_plan (org_id, id);

create table assessment_task (
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
    assessment_id integer unique,
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
create index idx_assessment_task_plan on assessment_task (plan_id, testee_id, seq);
create index idx_assessment_task_testee on assessment_task (org_id, testee_id);
create index idx_assessment_task_due on assessment_task (org_id, status, planned_at);
create index idx_assessment_task_overdue on assessment_task (org_id, status, expire_at);
