//! Tables on MySQL that another program made before: what they lack is added, what cannot be changed is told.

use crate::sql::{Columns, DatabaseKind, Db, sql};

/// Columns that tables of the system that this replaces got late, in its migration 7, and with which meaning.
const LATE_COLUMNS: [(&str, &str); 7] = [
    ("created_at", "datetime(3) not null default current_timestamp(3)"),
    ("updated_at", "datetime(3) not null default current_timestamp(3)"),
    ("deleted_at", "datetime(3) null"),
    ("created_by", "bigint unsigned not null default 0"),
    ("updated_by", "bigint unsigned not null default 0"),
    ("deleted_by", "bigint unsigned not null default 0"),
    ("version", "int unsigned not null default 1"),
];

/// The collation of the keys where it overlooks differences: tables that were there before may have such a one.
pub(super) async fn loose_collation(db: &Db) -> Result<Option<String>, sqlx::Error> {
    if db.kind() == DatabaseKind::Sqlite {
        return Ok(None);
    }
    let query = sql("select collation_name from information_schema.columns where table_schema = database() \
                     and table_name = 'statistics_daily' and column_name = 'statistic_key'");
    let name = db.read_one(query, Columns::optional_text).await?.flatten();
    Ok(name.filter(|name| !name.ends_with("_bin")))
}

/// Adds the late columns where they are missing: without them each write would fail.
pub(super) async fn add_late_columns(db: &Db) -> Result<(), sqlx::Error> {
    for (table, missing) in late_columns(db).await? {
        db.execute(sql(format!("alter table {table} {missing}"))).await?;
    }
    Ok(())
}

/// The tables that lack late columns, and what would add them. Only reads.
pub(super) async fn late_columns(db: &Db) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
    let mut lacking = Vec::new();
    if db.kind() == DatabaseKind::Sqlite {
        return Ok(lacking);
    }
    for table in ["statistics_daily", "statistics_accumulated", "statistics_plan"] {
        let columns = sql("select lower(column_name) from information_schema.columns \
                           where table_schema = database() and table_name = ?");
        let present = db.read_all(columns.bind(table), Columns::text).await?;
        let missing: Vec<String> = LATE_COLUMNS
            .iter()
            .filter(|(column, _)| !present.iter().any(|known| known == column))
            .map(|(column, definition)| format!("add column {column} {definition}"))
            .collect();
        // A table that does not exist yet is made with all of them.
        if !present.is_empty() && !missing.is_empty() {
            lacking.push((table, missing.join(", ")));
        }
    }
    Ok(lacking)
}
