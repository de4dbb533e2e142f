-- Settings that give what is kept its meaning, as the server that started last had them.
create table qs_setting (
    name varchar(64) not null primary key,
    value varchar(255) not null
) engine = innodb default charset = utf8mb4 collate = utf8mb4_bin;
