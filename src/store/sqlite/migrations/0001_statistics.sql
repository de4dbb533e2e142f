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
create index idx_statistics_daily_org_date
    on statistics_daily (org_id, stat_date, statistic_type, statistic_key);
