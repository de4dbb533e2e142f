-- Settings that give what is kept its meaning, as the server that started last had them.
create table qs_setting (
    name text not null primary key,
    value text not null
) without rowid;
