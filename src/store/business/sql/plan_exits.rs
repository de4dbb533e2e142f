//! SQL of `qs_plan_exit`: who was taken out of a plan. Each statement runs in the transaction that holds the plan, so
//! that no end is overlooked by somebody who makes tasks meanwhile.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::sql::{Columns, DatabaseKind, Tx, sql};

/// Ends an enrolment. One that was ended before stays as it was.
pub(super) async fn insert(
    tx: &mut Tx,
    kind: DatabaseKind,
    [org_id, plan_id, testee_id]: [i64; 3],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let there = match kind {
        DatabaseKind::Sqlite => " on conflict (org_id, plan_id, testee_id) do nothing",
        DatabaseKind::MySql => " on duplicate key update ended_at = ended_at",
    };
    let query = sql("insert into qs_plan_exit (org_id, plan_id, testee_id, ended_at) values (?, ?, ?, ?)")
        .bind_all([org_id, plan_id, testee_id, now.as_millisecond()])
        .push(there);
    tx.execute(query).await.map(drop)
}

/// Somebody is enrolled again.
pub(super) async fn remove(tx: &mut Tx, [org_id, plan_id, testee_id]: [i64; 3]) -> Result<(), sqlx::Error> {
    // primary key
    let query = sql("delete from qs_plan_exit where org_id = ? and plan_id = ? and testee_id = ?");
    tx.execute(query.bind_all([org_id, plan_id, testee_id])).await.map(drop)
}

/// Whose enrolments were ended.
pub(super) async fn of_plan(tx: &mut Tx, org_id: i64, plan_id: i64) -> Result<BTreeSet<i64>, sqlx::Error> {
    // primary key
    let query = sql("select testee_id from qs_plan_exit where org_id = ? and plan_id = ?");
    let ended = tx.read_all(query.bind_all([org_id, plan_id]), Columns::int).await?;
    Ok(ended.into_iter().collect())
}
