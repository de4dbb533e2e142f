//! Claiming what is due.
//!
//! Candidates are read without a lock; the update repeats what was read of them, so what somebody else has changed
//! meanwhile is no candidate any more. What is held afterwards is what counts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::columns::{execution, instant, list, millis, optional_instant, small};
use crate::domain::catch_up::Gap;
use crate::domain::execution::{Delivery, Event, Execution, SessionId, Standing};
use crate::domain::id::ExecutionId;
use crate::sql::{Columns, Db, Statement, Tx, Value, insert_new_rows, sql};
use crate::store::scheduler::{ClaimOrder, Claimed};

/// Ids of one statement.
const LIST: usize = 500;

/// What the indexes of SQLite are about: it does not see that one state is among these.
const WAITING: &str = "state in ('pending', 'retrying')";

/// A claim asks nothing of the policy.
const ANY: Standing = Standing { delivery: Delivery::AtLeastOnce, deleted: false };

/// Claims at most as many as ordered.
pub(super) async fn claim(
    tx: &mut Tx,
    session: SessionId,
    order: &ClaimOrder,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let planner = sql("select planned_through, attempt_base from qs_planner where shard = 1");
    let planner = tx.read_one(planner, |row| Ok((instant(row)?, small(row.int()?)?))).await?;
    let Some((planned_through, base)) = planner else { return Ok(Vec::new()) };
    // While the watermark is far behind, catch-up decides first about what schedules have made.
    let behind = Gap::found(planned_through, order.now).is_some();
    let candidates = candidates(tx, order, behind).await?;
    let (free, busy) = seated(tx, candidates).await?;
    let (mut claimed, mut by_attempt) = (Vec::new(), BTreeMap::<u32, Vec<Execution>>::new());
    for one in free {
        by_attempt.entry(one.attempt).or_default().push(one);
    }
    for of_one_attempt in by_attempt.into_values() {
        for part in of_one_attempt.chunks(LIST) {
            claimed.extend(take(tx, session, base, order.now, part).await?);
        }
    }
    Ok(claimed.into_iter().map(Claimed::Mine).chain(busy.into_iter().map(Claimed::Busy)).collect())
}

/// What is due and not blocked, the most urgent first.
async fn candidates(tx: &mut Tx, order: &ClaimOrder, behind: bool) -> Result<Vec<Execution>, sqlx::Error> {
    let mut found = Vec::new();
    for state in ["retrying", "pending"] {
        found.extend(tx.read_all(candidates_of(order, state, behind), execution).await?);
    }
    found.sort_by_key(|one| (std::cmp::Reverse(one.priority), one.run_at, one.id));
    found.truncate(order.most);
    Ok(found)
}

/// One state at a time: then the ready index gives the order, and the first rows are all that is read.
fn candidates_of(order: &ClaimOrder, state: &str, behind: bool) -> Statement {
    let mut query = sql(format!(
        "select {} from qs_execution where {WAITING} and state = ? and queue = ? and run_at <= ?",
        list()
    ))
    .bind(state)
    .bind(&order.queue)
    .bind(millis(order.now));
    if behind {
        query = query.push(" and (trigger_type <> 'schedule' or attempt > 0)");
    }
    if !order.blocked.is_empty() {
        query = query.push(" and task_id not in ").push_list(order.blocked.iter().copied());
    }
    // Of a paused task nothing starts.
    query = query.push(
        " and not exists (select 1 from qs_task_revision r where r.task_id = qs_execution.task_id \
         and r.valid_to is null and r.paused = 1)",
    );
    query.push(" order by priority desc, run_at, id limit ?").bind(order.most as u64)
}

/// Takes the seats that are needed. Seats are locked in the order of their names.
async fn seated(
    tx: &mut Tx,
    candidates: Vec<Execution>,
) -> Result<(Vec<Execution>, Vec<Execution>), sqlx::Error> {
    let mut first: BTreeMap<&str, ExecutionId> = BTreeMap::new();
    for one in &candidates {
        if let Some(slot) = &one.slot {
            first.entry(slot).or_insert(one.id);
        }
    }
    if first.is_empty() {
        return Ok((candidates, Vec::new()));
    }
    let wanted: Vec<(&str, ExecutionId)> = first.into_iter().collect();
    let mut holders = HashMap::new();
    for part in wanted.chunks(LIST) {
        insert_seats(tx, part).await?;
        let query = sql("select name, execution_id from qs_slot where name in ")
            .push_list(part.iter().map(|(name, _)| *name));
        let read = |row: &mut Columns| Ok((row.text()?, ExecutionId::from_bytes(row.id()?)));
        holders.extend(tx.read_all(query, read).await?);
    }
    let is_free = |one: &Execution| one.slot.as_ref().is_none_or(|slot| holders.get(slot) == Some(&one.id));
    Ok(candidates.into_iter().partition(is_free))
}

async fn insert_seats(tx: &mut Tx, seats: &[(&str, ExecutionId)]) -> Result<(), sqlx::Error> {
    let rows: Vec<Vec<Value>> =
        seats.iter().map(|(name, id)| vec![(*name).into(), 0_i64.into(), id.bytes().into()]).collect();
    insert_new_rows(tx, "qs_slot", &["name", "seat", "execution_id"], &rows).await
}

/// Claims executions of one attempt; answers those that are held now. The others give back their seats.
async fn take(
    tx: &mut Tx,
    session: SessionId,
    base: u32,
    now: Timestamp,
    part: &[Execution],
) -> Result<Vec<Execution>, sqlx::Error> {
    let mut mine: Vec<Execution> = part.to_vec();
    for one in &mut mine {
        let event = Event::Claimed { by: session, attempt_base: base };
        one.apply(&event, ANY, now).map_err(|error| sqlx::Error::Decode(error.to_string().into()))?;
    }
    let (Some(read), Some(next)) = (part.first(), mine.first()) else { return Ok(mine) };
    let update =
        sql("update qs_execution set state = 'running', attempt = ?, holder = ?, node = ?, started_at = ?, \
         finished_at = null, outcome = null, message = null \
         where state in ('pending', 'retrying') and attempt = ? and run_at <= ? and id in ")
        .bind(next.attempt)
        .bind_all([session.0, session.0, millis(now)])
        .bind(read.attempt)
        .bind(millis(now))
        .push_list(part.iter().map(|one| one.id.bytes()));
    if tx.execute(update).await? == part.len() as u64 {
        return Ok(mine);
    }
    let query = sql("select id from qs_execution where holder = ? and attempt = ? and id in ")
        .bind(session.0)
        .bind(next.attempt)
        .push_list(part.iter().map(|one| one.id.bytes()));
    let held = tx.read_all(query, |row| Ok(ExecutionId::from_bytes(row.id()?))).await?;
    let held: HashSet<ExecutionId> = held.into_iter().collect();
    let lost: BTreeSet<ExecutionId> = mine.iter().map(|one| one.id).filter(|id| !held.contains(id)).collect();
    give_back(tx, part, &lost).await?;
    mine.retain(|one| held.contains(&one.id));
    Ok(mine)
}

/// The seats that were taken for what somebody else has now, or nobody wants any more. One that was retrying had its seat
/// before, and keeps it while it is not over.
async fn give_back(tx: &mut Tx, part: &[Execution], lost: &BTreeSet<ExecutionId>) -> Result<(), sqlx::Error> {
    let ids: Vec<[u8; 16]> = part
        .iter()
        .filter(|one| one.slot.is_some() && lost.contains(&one.id))
        .map(|one| one.id.bytes())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let remove = sql("delete from qs_slot where execution_id in ").push_list(ids).push(
        " and not exists (select 1 from qs_execution e where e.id = qs_slot.execution_id \
         and e.state in ('running', 'retrying'))",
    );
    tx.execute(remove).await.map(drop)
}

/// When the first one that waits is due.
pub(super) async fn next_due(
    db: &Db,
    queue: &str,
    after: Option<Timestamp>,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let mut next = None;
    for state in ["retrying", "pending"] {
        let query =
            sql(format!("select min(run_at) from qs_execution where {WAITING} and state = ? and queue = ?"))
                .bind(state)
                .bind(queue)
                .push_some(" and run_at > ?", after.map(millis));
        let found = db.read_one(query, optional_instant).await?.flatten();
        next = [next, found].into_iter().flatten().min();
    }
    Ok(next)
}
