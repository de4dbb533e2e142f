-- One row that /ready changes: whether the database takes writes is known by writing.
create table qs_probe (
    id integer primary key,
    probes integer not null
) strict;
