-- How often the counters of an organisation have changed.
create table counter_revision (
    org_id integer not null primary key,
    revision integer not null
) without rowid;

create table counter_daily (
    org_id integer not null,
    stat_date text not null,
    statistic_type text not null,
    statistic_key text not null,
    submission_count integer not null default 0,
    completion_count integer not null default 0,
    primary key (org_id, stat_date, statistic_type, statistic_key)
) without rowid;

-- The last revision that touched a day.
create table counter_day (
    org_id integer not null,
    stat_date text not null,
    revision integer not null,
    primary key (org_id, stat_date)
) without rowid;

create index idx_counter_day_revision on counter_day (org_id, revision);

-- Events that were counted.
create table counter_event (
    org_id integer not null,
    event_id text not null,
    counted_at text not null,
    primary key (org_id, event_id)
) without rowid;
