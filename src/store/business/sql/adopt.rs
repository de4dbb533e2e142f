//! Tables on MySQL that another program made before: what they lack is added, what cannot be changed is told.

use super::indexes;
use crate::sql::{Columns, DatabaseKind, Db, MigrationError, Tx, sql};

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

/// The name of a lock is short, that of a database may be long.
const LOCK: &str = "concat('qs_adopt ', md5(database()))";

/// Takes the steps, and adds what the tables lack, by one process at a time: of two that find the same missing, one would
/// fail. The lock of the migrator is none on `MariaDB`, which takes its endless patience for none at all.
pub(super) async fn adopt(
    db: &Db,
    steps: impl Future<Output = Result<(), MigrationError>>,
) -> Result<(), MigrationError> {
    if db.kind() == DatabaseKind::Sqlite {
        return steps.await;
    }
    // What is needed is a connection that holds the lock; a transaction would be ended while it waits.
    let mut tx = db.begin().await.map_err(MigrationError::Database)?;
    lock(&mut tx).await.map_err(MigrationError::Database)?;
    let changed = match steps.await {
        Ok(()) => add(&mut tx).await.map_err(MigrationError::Database),
        failed => failed,
    };
    let released = tx.fetch_all(sql(format!("select cast(release_lock({LOCK}) as signed)"))).await;
    changed?;
    released.map_err(MigrationError::Database)?;
    tx.commit().await.map_err(MigrationError::Database)
}

async fn lock(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let locked = format!("select cast(get_lock({LOCK}, 600) as signed)");
    if tx.read_one(sql(locked), Columns::optional_int).await? != Some(Some(1)) {
        let found = "another process has been changing the tables for ten minutes";
        return Err(sqlx::Error::Protocol(found.to_owned()));
    }
    tx.execute(sql("commit")).await?;
    Ok(())
}

async fn add(tx: &mut Tx) -> Result<(), sqlx::Error> {
    for (table, changes) in lacking(tx).await? {
        tx.execute(sql(format!("alter table {table} {changes}"))).await?;
    }
    Ok(())
}

/// How many tables lack something that another program's or a cut off migration's tables lack. Only reads.
pub(super) async fn incomplete(db: &Db) -> Result<usize, sqlx::Error> {
    if db.kind() == DatabaseKind::Sqlite {
        return Ok(0);
    }
    let mut tx = db.begin().await?;
    let tables = lacking(&mut tx).await?.len();
    tx.rollback().await?;
    Ok(tables)
}

/// The tables that lack something, and what would add it. A rule that rows break is left out, and told.
async fn lacking(tx: &mut Tx) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
    let mut lacking = late_columns(tx).await?;
    let mut wanted = indexes::wanted(tx).await?;
    // Of a start that was cut off, the other table may be missing.
    if wanted.iter().any(|wanted| wanted.table == "assessment_task")
        && indexes::shared_assessment(tx).await?.is_some()
    {
        wanted.retain_mut(indexes::Wanted::without_rule);
    }
    lacking.extend(wanted.into_iter().map(|wanted| (wanted.table, wanted.changes.join(", "))));
    Ok(lacking)
}

/// The tables that lack late columns, without which each write would fail, and what would add them.
async fn late_columns(tx: &mut Tx) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
    let mut lacking = Vec::new();
    for table in ["statistics_daily", "statistics_accumulated", "statistics_plan"] {
        let columns = sql("select lower(column_name) from information_schema.columns \
                           where table_schema = database() and table_name = ?");
        let present = tx.read_all(columns.bind(table), Columns::text).await?;
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

/// Tells what the tables are not, and what that means.
pub(super) async fn tell(db: &Db) -> Result<(), sqlx::Error> {
    if db.kind() == DatabaseKind::Sqlite {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    for (table, collation) in loose_collations(&mut tx).await? {
        tracing::warn!(collation, "{table}.statistic_key takes keys that differ in case alone for one");
    }
    if indexes::wanted(&mut tx).await?.iter().any(|wanted| wanted.table == "assessment_task")
        && let Some([org_id, assessment_id]) = indexes::shared_assessment(&mut tx).await?
    {
        tracing::warn!(
            org_id,
            assessment_id,
            "several tasks have one assessment, so nothing keeps another task from getting it too; correct the rows, \
             then run `qs-apiserver migrate`"
        );
    }
    tx.rollback().await
}

/// Tables whose keys are compared by a collation that overlooks differences: those that were there before may have one.
/// Their rows cannot be told apart by the database; a reader is given only the one whose key is exactly what it asked for.
async fn loose_collations(tx: &mut Tx) -> Result<Vec<(String, String)>, sqlx::Error> {
    let query = sql("select lower(table_name), collation_name from information_schema.columns \
                     where table_schema = database() and column_name = 'statistic_key' \
                     and table_name in ('statistics_daily', 'statistics_accumulated') \
                     and collation_name not like '%\\_bin' order by table_name");
    tx.read_all(query, |columns| Ok((columns.text()?, columns.text()?))).await
}
