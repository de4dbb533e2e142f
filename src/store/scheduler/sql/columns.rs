//! Rows of `qs_execution`, written and read.

use jiff::Timestamp;

use crate::domain::execution::{Execution, SessionId};
use crate::domain::id::ExecutionId;
use crate::sql::{CellError, Columns, Value};

/// The columns, in the order of [`execution`] and [`values`].
pub(super) const COLUMNS: [&str; 25] = [
    "id",
    "task_id",
    "revision",
    "scheduled_for",
    "dedup",
    "queue",
    "priority",
    "slot",
    "state",
    "attempt",
    "failures",
    "losses",
    "max_attempts",
    "run_at",
    "holder",
    "node",
    "deadline_at",
    "cancel_requested",
    "trigger_type",
    "parameters",
    "started_at",
    "finished_at",
    "outcome",
    "message",
    "traceparent",
];

/// The select list of an execution.
pub(super) fn list() -> String {
    COLUMNS.join(", ")
}

/// The same with the name of a table before each.
pub(super) fn list_of(table: &str) -> String {
    COLUMNS.map(|column| format!("{table}.{column}")).join(", ")
}

/// What a row holds.
pub(super) fn values(execution: &Execution) -> Vec<Value> {
    let of = execution;
    vec![
        of.id.bytes().into(),
        of.task_id.into(),
        of.revision.into(),
        of.scheduled_for.map(millis).into(),
        (&of.dedup).into(),
        (&of.queue).into(),
        i64::from(of.priority).into(),
        of.slot.as_deref().into(),
        of.state.as_str().into(),
        of.attempt.into(),
        of.failures.into(),
        of.losses.into(),
        of.max_attempts.into(),
        millis(of.run_at).into(),
        of.holder.map(|session| session.0).into(),
        of.node.map(|session| session.0).into(),
        of.deadline_at.map(millis).into(),
        i64::from(of.cancel_requested).into(),
        of.trigger.as_str().into(),
        of.parameters.as_deref().into(),
        of.started_at.map(millis).into(),
        of.finished_at.map(millis).into(),
        of.outcome.as_deref().into(),
        of.message.as_deref().into(),
        of.traceparent.as_deref().into(),
    ]
}

/// Reads a row.
pub(super) fn execution(row: &mut Columns) -> Result<Execution, CellError> {
    Ok(Execution {
        id: ExecutionId::from_bytes(row.id()?),
        task_id: row.int()?,
        revision: row.int()?,
        scheduled_for: optional_instant(row)?,
        dedup: row.text()?,
        queue: row.text()?,
        priority: small(row.int()?)?,
        slot: row.optional_text()?,
        state: row.parsed()?,
        attempt: small(row.int()?)?,
        failures: small(row.int()?)?,
        losses: small(row.int()?)?,
        max_attempts: small(row.int()?)?,
        run_at: instant(row)?,
        holder: row.optional_int()?.map(SessionId),
        node: row.optional_int()?.map(SessionId),
        deadline_at: optional_instant(row)?,
        cancel_requested: row.int()? != 0,
        trigger: row.parsed()?,
        parameters: row.optional_text()?,
        started_at: optional_instant(row)?,
        finished_at: optional_instant(row)?,
        outcome: row.optional_text()?,
        message: row.optional_text()?,
        traceparent: row.optional_text()?,
    })
}

/// An instant as it is stored.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as it was stored.
pub(super) fn instant(row: &mut Columns) -> Result<Timestamp, CellError> {
    from_millis(row.int()?)
}

/// The same, or nothing.
pub(super) fn optional_instant(row: &mut Columns) -> Result<Option<Timestamp>, CellError> {
    row.optional_int()?.map(from_millis).transpose()
}

fn from_millis(millis: i64) -> Result<Timestamp, CellError> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| format!("expected milliseconds since 1970, found {millis}"))
}

/// A number that fits.
pub(super) fn small<T: TryFrom<i64>>(number: i64) -> Result<T, CellError> {
    T::try_from(number).map_err(|_| format!("a number that is out of its range: {number}"))
}
