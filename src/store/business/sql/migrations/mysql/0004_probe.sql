-- One row that /ready changes: whether the database takes writes is known by writing.
create table qs_probe (
    id int primary key,
    probes bigint not null
) engine = innodb;
