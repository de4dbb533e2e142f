//! SQL of `qs_node`: sessions, and which of them are over.

use super::columns::{execution, list_of, millis};
use crate::domain::execution::{Execution, SessionId};
use crate::sql::{Columns, Db, Tx, sql};
use crate::store::scheduler::{NewSession, SessionRow};

/// Begins a session; where nobody else can have one, all others are dead.
pub(super) async fn begin(db: &Db, session: &NewSession, alone: bool) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    if alone {
        tx.execute(sql("update qs_node set state = 'dead' where state <> 'dead'")).await?;
    }
    let insert = sql(
        "insert into qs_node (id, name, version, started_at, beat, state) values (?, ?, ?, ?, 0, 'live')",
    )
    .bind(session.id.0)
    .bind(&session.name)
    .bind(&session.version)
    .bind(millis(session.started_at));
    tx.execute(insert).await?;
    tx.commit().await
}

/// Every session that may hold something.
pub(super) async fn all(db: &Db) -> Result<Vec<SessionRow>, sqlx::Error> {
    db.read_all(sql("select id, name, beat, state from qs_node order by id"), |row| {
        Ok(SessionRow {
            id: SessionId(row.int()?),
            name: row.text()?,
            beat: row.int()?,
            dead: row.text()? == "dead",
        })
    })
    .await
}

/// Whether it is dead now.
pub(super) async fn declare_dead(tx: &mut Tx, other: &SessionRow) -> Result<bool, sqlx::Error> {
    let declare = sql("update qs_node set state = 'dead' where id = ? and beat = ? and state <> 'dead'")
        .bind(other.id.0)
        .bind(other.beat);
    if tx.execute(declare).await? > 0 {
        return Ok(true);
    }
    let state = sql("select state from qs_node where id = ?").bind(other.id.0);
    Ok(tx.read_one(state, Columns::text).await?.is_none_or(|state| state == "dead"))
}

/// An orderly end: nothing is left that somebody would have to sweep.
pub(super) async fn end(tx: &mut Tx, session: SessionId) -> Result<(), sqlx::Error> {
    let held = sql("select 1 from qs_execution where holder = ? limit 1").bind(session.0);
    let end = if tx.fetch_optional(held).await?.is_some() {
        "update qs_node set state = 'dead' where id = ?"
    } else {
        "delete from qs_node where id = ?"
    };
    tx.execute(sql(end).bind(session.0)).await.map(drop)
}

/// What dead sessions hold. Rows of sessions that hold nothing go.
pub(super) async fn orphans(db: &Db, most: usize) -> Result<Vec<Execution>, sqlx::Error> {
    let query = format!(
        "select {} from qs_execution e join qs_node n on n.id = e.holder where n.state = 'dead' limit ?",
        list_of("e")
    );
    let orphans = db.read_all(sql(query).bind(most as u64), execution).await?;
    if orphans.is_empty() {
        let gone = "delete from qs_node where state = 'dead' \
                    and not exists (select 1 from qs_execution where holder = qs_node.id)";
        db.execute(sql(gone)).await?;
    }
    Ok(orphans)
}
