-- Who was taken out of a plan. Tasks do not say it: those that a pause canceled look the same.
create table qs_plan_exit (
    org_id integer not null,
    plan_id integer not null,
    testee_id integer not null,
    ended_at integer not null,
    primary key (org_id, plan_id, testee_id)
) strict, without rowid;
