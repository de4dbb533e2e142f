-- Who was taken out of a plan. Tasks do not say it: those that a pause canceled look the same.
create table qs_plan_exit (
    org_id bigint not null,
    plan_id bigint unsigned not null,
    testee_id bigint unsigned not null,
    ended_at bigint not null,
    primary key (org_id, plan_id, testee_id)
) engine = innodb;
