-- Which counters these are: a new file has another name.
create table counter_generation (
    id integer not null primary key check (id = 1),
    generation text not null
);
insert into counter_generation (id, generation) values (1, lower(hex(randomblob(8))));

-- How many events of an organisation were counted.
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
    extra_metrics text,
    revision integer not null,
    -- The generation in which it was given back what the store knew of it.
    restored text,
    primary key (org_id, stat_date, statistic_type, statistic_key)
) without rowid;
create index idx_counter_daily_revision on counter_daily (org_id, revision, stat_date);

-- Events that were counted. Instants are milliseconds since 1970.
create table counter_event (
    org_id integer not null,
    event_id text not null,
    counted_at integer not null,
    primary key (org_id, event_id)
) without rowid;
create index idx_counter_event_counted on counter_event (counted_at);
