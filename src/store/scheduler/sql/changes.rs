//! Changes of executions under the guard that they still are what was read, and what is written beside them.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::columns::{COLUMNS, execution, list, millis, values};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::id::ExecutionId;
use crate::sql::{Columns, Db, Tx, Value, insert_new_rows, sql, unless_taken};
use crate::store::scheduler::{Change, Changed};

/// Ids of one statement.
const LIST: usize = 500;

/// What is written to rows that are changed alike, and what they must be before.
type Alike = (Vec<Value>, Vec<Value>);

/// Changes each of them, those that are changed alike with one statement.
pub(super) async fn change(tx: &mut Tx, changes: &[&Change]) -> Result<Vec<Changed>, sqlx::Error> {
    let mut groups: BTreeMap<Vec<Text>, (Alike, Vec<usize>)> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let alike = alike(change);
        let key = alike.0.iter().chain(&alike.1).map(text).collect();
        groups.entry(key).or_insert_with(|| (alike, Vec::new())).1.push(index);
    }
    let mut done = vec![Changed::Late; changes.len()];
    for ((to, from), members) in groups.into_values() {
        for part in members.chunks(LIST) {
            let ids: Vec<ExecutionId> = part.iter().map(|index| changes[*index].from.id).collect();
            let count = update(tx, &to, &from, &ids).await?;
            let counted = if count == ids.len() as u64 { None } else { Some(now_so(tx, &ids).await?) };
            for index in part {
                let change = changes[*index];
                let is_done = counted.as_ref().is_none_or(|rows| {
                    rows.get(&change.from.id).is_some_and(|row| says_the_same(row, &change.to))
                });
                if is_done {
                    done[*index] = Changed::Done;
                }
            }
        }
    }
    keep_attempts(tx, changes, &done).await?;
    give_seats_back(tx, changes, &done).await?;
    Ok(done)
}

/// A value as a part of a key.
type Text = Option<String>;

fn text(value: &Value) -> Text {
    match value {
        Value::Null => None,
        Value::Int(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Bytes(bytes) => Some(crate::domain::hex::hex(bytes)),
    }
}

/// The columns that a change may write.
const WRITTEN: &str = "state = ?, failures = ?, losses = ?, holder = ?, deadline_at = ?, cancel_requested = ?, \
                       finished_at = ?, outcome = ?, message = ?";

fn alike(change: &Change) -> Alike {
    let (from, to) = (&change.from, &change.to);
    let run_at = (from.run_at != to.run_at).then(|| millis(to.run_at));
    let written = vec![
        to.state.as_str().into(),
        to.failures.into(),
        to.losses.into(),
        to.holder.map(|session| session.0).into(),
        to.deadline_at.map(millis).into(),
        i64::from(to.cancel_requested).into(),
        to.finished_at.map(millis).into(),
        to.outcome.as_deref().into(),
        to.message.as_deref().into(),
        run_at.into(),
    ];
    let read =
        vec![from.state.as_str().into(), from.attempt.into(), from.holder.map(|session| session.0).into()];
    (written, read)
}

async fn update(tx: &mut Tx, to: &[Value], from: &[Value], ids: &[ExecutionId]) -> Result<u64, sqlx::Error> {
    let (run_at, written) = to.split_last().unwrap_or((&Value::Null, &[]));
    let (holder, read) = from.split_last().unwrap_or((&Value::Null, &[]));
    let mut update = sql(format!("update qs_execution set {WRITTEN}")).bind_all(written.iter().cloned());
    if *run_at != Value::Null {
        update = update.push(", run_at = ?").bind(run_at.clone());
    }
    update = update.push(" where state = ? and attempt = ?").bind_all(read.iter().cloned());
    update = match holder {
        Value::Null => update.push(" and holder is null"),
        holder => update.push(" and holder = ?").bind(holder.clone()),
    };
    tx.execute(update.push(" and id in ").push_list(ids.iter().map(|id| id.bytes()))).await
}

async fn now_so(tx: &mut Tx, ids: &[ExecutionId]) -> Result<HashMap<ExecutionId, Execution>, sqlx::Error> {
    let query = sql(format!("select {} from qs_execution where id in ", list()))
        .push_list(ids.iter().map(|id| id.bytes()));
    Ok(tx.read_all(query, execution).await?.into_iter().map(|one| (one.id, one)).collect())
}

/// Whether a row is what a change makes of it: by this statement, or by one before whose answer was lost.
fn says_the_same(row: &Execution, to: &Execution) -> bool {
    (row.state, row.attempt, row.holder, row.finished_at, &row.outcome, row.failures, row.losses)
        == (to.state, to.attempt, to.holder, to.finished_at, &to.outcome, to.failures, to.losses)
}

/// The rows of attempts that are over while their execution goes on, and of results that came too late.
async fn keep_attempts(tx: &mut Tx, changes: &[&Change], done: &[Changed]) -> Result<(), sqlx::Error> {
    for (change, done) in changes.iter().zip(done) {
        match (done, &change.attempt) {
            (Changed::Done, Some((outcome, message))) => {
                let ended = [change.to.finished_at, change.to.started_at].into_iter().flatten().max();
                insert_attempt(tx, change, ended, outcome, message).await?;
            }
            (Changed::Late, _) if change.is_result => late(tx, change).await?,
            (Changed::Done | Changed::Late, _) => {}
        }
    }
    Ok(())
}

async fn insert_attempt(
    tx: &mut Tx,
    change: &Change,
    finished_at: Option<Timestamp>,
    outcome: &str,
    message: &str,
) -> Result<(), sqlx::Error> {
    let from = &change.from;
    let row = vec![
        from.id.bytes().into(),
        from.attempt.into(),
        from.node.map(|session| session.0).into(),
        from.started_at.map(millis).into(),
        finished_at.map(millis).into(),
        outcome.into(),
        message.into(),
    ];
    let columns = ["execution_id", "attempt", "node", "started_at", "finished_at", "outcome", "message"];
    insert_new_rows(tx, "qs_attempt", &columns, &[row]).await
}

/// A result that came when somebody else had ended the attempt: kept beside what is recorded, never instead of it.
async fn late(tx: &mut Tx, change: &Change) -> Result<(), sqlx::Error> {
    let (from, to) = (&change.from, &change.to);
    let row = vec![
        from.id.bytes().into(),
        from.attempt.into(),
        from.node.map(|session| session.0).into(),
        from.started_at.map(millis).into(),
    ];
    let columns = ["execution_id", "attempt", "node", "started_at"];
    insert_new_rows(tx, "qs_attempt", &columns, &[row]).await?;
    let update = sql("update qs_attempt set late_at = ?, late_outcome = ?, late_message = ? \
         where execution_id = ? and attempt = ? and late_at is null")
    .bind(to.finished_at.map(millis))
    .bind(to.outcome.as_deref())
    .bind(to.message.as_deref())
    .bind(from.id.bytes())
    .bind(from.attempt);
    tx.execute(update).await.map(drop)
}

/// The seats of what is over, by these changes or by somebody's before. A seat goes after the change of its execution
/// counted, never before.
async fn give_seats_back(tx: &mut Tx, changes: &[&Change], done: &[Changed]) -> Result<(), sqlx::Error> {
    let ended = changes.iter().zip(done).filter(|(change, done)| {
        change.from.slot.is_some() && (**done == Changed::Late || change.to.state.is_over())
    });
    let ids: Vec<[u8; 16]> = ended.map(|(change, _)| change.from.id.bytes()).collect();
    for part in ids.chunks(LIST) {
        let remove = sql("delete from qs_slot where execution_id in ")
            .push_list(part.iter().copied())
            .push(
                " and exists (select 1 from qs_execution e where e.id = qs_slot.execution_id and e.state in ",
            )
            .push_list(over())
            .push(")");
        tx.execute(remove).await?;
    }
    Ok(())
}

/// The states of what is over.
fn over() -> impl Iterator<Item = &'static str> {
    ExecutionState::ALL.iter().filter(|state| state.is_over()).map(|state| state.as_str())
}

/// Adds an execution that waits. Whether it is new.
pub(super) async fn enqueue(db: &Db, one: &Execution) -> Result<bool, sqlx::Error> {
    let columns = COLUMNS.join(", ");
    let insert = format!("insert into qs_execution ({columns}) values ({})", ["?"; COLUMNS.len()].join(", "));
    Ok(unless_taken(db.execute(sql(insert).bind_all(values(one))).await)?.is_some())
}

/// What was over before this instant, found by the time in its id; and what was missed before it.
pub(super) async fn prune(tx: &mut Tx, before: Timestamp, most: u32) -> Result<u64, sqlx::Error> {
    let bound = ExecutionId::new(before, [0; 10]).bytes();
    let query = sql("select id from qs_execution where id < ? and finished_at < ? and state in ")
        .bind(bound)
        .bind(millis(before))
        .push_list(over())
        .push(" order by id limit ?")
        .bind(most);
    let ids = tx.read_all(query, Columns::id).await?;
    for part in ids.chunks(LIST) {
        for (table, key) in
            [("qs_attempt", "execution_id"), ("qs_slot", "execution_id"), ("qs_execution", "id")]
        {
            let remove = sql(format!("delete from {table} where {key} in ")).push_list(part.iter().copied());
            tx.execute(remove).await?;
        }
    }
    let missed = tx.execute(sql("delete from qs_missed where to_at < ?").bind(millis(before))).await?;
    Ok(ids.len() as u64 + missed)
}
