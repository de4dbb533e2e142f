//! What a user would do instead, without HTTP and without any check: SQLite with a commit an event, and pipelines of
//! Redis. Each marks the id and adds to the counters of three subjects.

use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::load::Measured;

fn subjects(number: usize) -> [String; 3] {
    [
        format!("questionnaire:Q{}", number % 50),
        format!("testee:{}", number % 5_000),
        format!("plan:{}", number % 20),
    ]
}

/// One transaction an event, on a connection of its own.
pub(crate) async fn sqlite(events: usize) -> anyhow::Result<Measured> {
    let dir = tempfile::tempdir()?;
    let mut connection = SqliteConnectOptions::new()
        .filename(dir.path().join("t.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await?;
    for table in [
        "create table event (id text primary key) without rowid",
        "create table counter (subject text primary key, submissions integer not null) without rowid",
    ] {
        sqlx::query(table).execute(&mut connection).await?;
    }
    let began = Instant::now();
    for number in 0..events {
        let mut tx = connection.begin().await?;
        sqlx::query("insert into event (id) values (?)").bind(format!("e{number}")).execute(&mut *tx).await?;
        for subject in subjects(number) {
            let add = "insert into counter (subject, submissions) values (?, 1) \
                       on conflict do update set submissions = submissions + 1";
            sqlx::query(add).bind(subject).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(Measured { events, counted: events as u64, seconds: began.elapsed().as_secs_f64() })
}

/// Pipelines of so many events on one connection: `SET … NX` and `HINCRBY`, which counts a repeated event twice.
pub(crate) fn redis(
    mut connection: redis::Connection,
    events: usize,
    batch: usize,
) -> anyhow::Result<Measured> {
    let began = Instant::now();
    for first in (0..events).step_by(batch) {
        let mut pipe = redis::pipe();
        for number in first..(first + batch).min(events) {
            pipe.cmd("SET").arg(format!("floor:event:{number}")).arg("1").arg("NX").ignore();
            for subject in subjects(number) {
                pipe.hincr(format!("floor:{subject}"), "submission_count", 1).ignore();
            }
        }
        pipe.exec(&mut connection)?;
    }
    Ok(Measured { events, counted: events as u64, seconds: began.elapsed().as_secs_f64() })
}
