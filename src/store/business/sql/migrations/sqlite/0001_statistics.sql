-- Names as in the system that this replaces, so that its readers find what they know.
create table statistics_daily (
    id integer primary key autoincrement,
    org_id integer not null,
    statistic_type text not null,
    statistic_key text not null,
    stat_date text not null,
    submission_count integer not null default 0,
    completion_count integer not null default 0,
    extra_metrics text,
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    created_by integer not null default 0,
    updated_by integer not null default 0,
    deleted_by integer not null default 0,
    version integer not null default 1
);
create unique index uk_statistics_daily
    on statistics_daily (org_id, statistic_type, statistic_key, stat_date);
create index idx_statistics_daily_org_date on statistics_daily (org_id, stat_date);

create table statistics_accumulated (
    id integer primary key autoincrement,
    org_id integer not null,
    statistic_type text not null,
    statistic_key text not null,
    total_submissions integer not null default 0,
    total_completions integer not null default 0,
    last7d_submissions integer not null default 0,
    last15d_submissions integer not null default 0,
    last30d_submissions integer not null default 0,
    distribution text,
    first_occurred_at text,
    last_occurred_at text,
    last_updated_at text,
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    created_by integer not null default 0,
    updated_by integer not null default 0,
    deleted_by integer not null default 0,
    version integer not null default 1
);
create unique index uk_statistics_accumulated
    on statistics_accumulated (org_id, statistic_type, statistic_key);

create table statistics_plan (
    id integer primary key autoincrement,
    org_id integer not null,
    plan_id integer not null,
    total_tasks integer not null default 0,
    completed_tasks integer not null default 0,
    pending_tasks integer not null default 0,
    expired_tasks integer not null default 0,
    enrolled_testees integer not null default 0,
    active_testees integer not null default 0,
    last_updated_at text,
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    created_by integer not null default 0,
    updated_by integer not null default 0,
    deleted_by integer not null default 0,
    version integer not null default 1
);
create unique index uk_statistics_plan on statistics_plan (org_id, plan_id);
