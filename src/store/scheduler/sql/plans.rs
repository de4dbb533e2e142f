//! SQL of `qs_planner`: the watermark and what it plans.

use jiff::Timestamp;

use super::columns::{COLUMNS, execution, instant, list, millis, optional_instant, small, values};
use crate::domain::execution::Execution;
use crate::sql::{DatabaseKind, Db, Tx, Value, insert_new_rows, sql};
use crate::store::scheduler::{MissedRow, PlanStep, Planned, Planner};

/// The only shard.
const SHARD: i64 = 1;

/// The row; made where there is none.
pub(super) async fn planner(db: &Db, now: Timestamp) -> Result<Planner, sqlx::Error> {
    let read = || {
        let query =
            sql("select planned_through, catalog, gap_to, attempt_base from qs_planner where shard = ?");
        db.read_one(query.bind(SHARD), |row| {
            Ok(Planner {
                planned_through: instant(row)?,
                catalog: row.int()?,
                gap_to: optional_instant(row)?,
                attempt_base: small(row.int()?)?,
            })
        })
    };
    if let Some(planner) = read().await? {
        return Ok(planner);
    }
    let verb = match db.kind() {
        DatabaseKind::Sqlite => "insert or ignore",
        DatabaseKind::MySql => "insert ignore",
    };
    let insert =
        format!("{verb} into qs_planner (shard, planned_through, catalog, attempt_base) values (?, ?, 0, 0)");
    db.execute(sql(insert).bind(SHARD).bind(millis(now))).await?;
    read().await?.ok_or(sqlx::Error::RowNotFound)
}

/// Moves the watermark first: whoever is overtaken does nothing.
pub(super) async fn plan(tx: &mut Tx, step: &PlanStep) -> Result<Planned, sqlx::Error> {
    let advance = sql("update qs_planner set planned_through = ?, gap_to = ? where shard = ? and planned_through = ? and catalog = ?")
        .bind(millis(step.through))
        .bind(step.gap_to.map(millis))
        .bind(SHARD)
        .bind(millis(step.from))
        .bind(step.catalog);
    if tx.execute(advance).await? == 0 {
        return Ok(Planned::Overtaken);
    }
    let executions: Vec<Vec<Value>> = step.insert.iter().map(values).collect();
    // What is there already stands for the same occurrence.
    insert_new_rows(tx, "qs_execution", &COLUMNS, &executions).await?;
    for part in step.skip.chunks(500) {
        let skip = sql("update qs_execution set state = 'skipped', outcome = 'too_late', finished_at = ? where state = 'pending' and id in ")
            .bind(millis(step.through))
            .push_list(part.iter().map(|id| id.bytes()));
        tx.execute(skip).await?;
    }
    insert_missed(tx, &step.missed).await?;
    Ok(Planned::Moved)
}

/// Rows of the trigger Schedule that wait.
pub(super) async fn planned_ahead(db: &Db, until: Timestamp) -> Result<Vec<Execution>, sqlx::Error> {
    let query = format!(
        "select {} from qs_execution where state in ('pending', 'retrying') and trigger_type = 'schedule' \
         and attempt = 0 and scheduled_for <= ?",
        list()
    );
    db.read_all(sql(query).bind(millis(until)), execution).await
}

/// Writes down what was missed.
pub(super) async fn insert_missed(tx: &mut Tx, rows: &[MissedRow]) -> Result<(), sqlx::Error> {
    let values = |row: &MissedRow| {
        let MissedRow { task_id, revision, missed } = row;
        vec![
            (*task_id).into(),
            millis(missed.from).into(),
            millis(missed.to).into(),
            missed.count.into(),
            missed.reason.as_str().into(),
            (*revision).into(),
        ]
    };
    let rows: Vec<Vec<Value>> = rows.iter().map(values).collect();
    insert_new_rows(tx, "qs_missed", &["task_id", "from_at", "to_at", "count", "reason", "revision"], &rows)
        .await
}
