//! What a statement costs over TCP on MySQL that is kept prepared, and one that is not; and two requests that a user sees.

use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::servers::{MySql, Redis};

/// How often each is done.
const TIMES: u32 = 50;

/// Measures, and says it as Markdown.
pub(crate) async fn measure(mysql: &MySql, redis: &Redis) -> anyhow::Result<String> {
    // One connection, as a transaction has: a pool hides the wait by taking another one.
    let mut connection = MySqlConnection::connect(&mysql.database("qs_bench").await?).await?;
    let (kept, once) = (statement(&mut connection, true).await?, statement(&mut connection, false).await?);
    connection.close().await?;
    let program = crate::start(mysql, redis, 0).await?;
    let plan = json!({"scale_code": "PHQ9", "schedule_type": "by_week", "interval": 1, "total_times": 10});
    let plan = program.post("/api/v1/plans", &plan).await?["data"]["id"].clone();
    let mut enrol = Vec::new();
    for testee in 1..=TIMES {
        let body = json!({"plan_id": plan, "testee_id": testee.to_string(), "start_date": "2026-01-01"});
        enrol.push(timed(program.post("/api/v1/plans/enroll", &body)).await?);
    }
    let event = json!({"event_id": "e1", "type": "submitted", "questionnaire_code": "Q"});
    program.post("/api/v1/statistics/events", &event).await?;
    for sync in ["daily", "accumulated"] {
        program.post(&format!("/api/v1/statistics/sync/{sync}"), &json!({})).await?;
    }
    let mut read = Vec::new();
    for _ in 0..TIMES {
        read.push(timed(program.get("/api/v1/statistics/questionnaires/Q")).await?);
    }
    let (enrol, read) = (median(enrol)?, median(read)?);
    Ok(format!(
        "| what | ms |\n|---|---|\n| a statement that is kept | {kept:.2} |\n| a statement that is not kept | {once:.2} |\n\
         | the second ÷ the first | {:.0} |\n| `POST /plans/enroll`, ten tasks | {enrol:.2} |\n\
         | `GET /statistics/questionnaires/{{code}}` | {read:.2} |\n",
        once / kept,
    ))
}

/// The median time of a statement.
async fn statement(connection: &mut MySqlConnection, kept: bool) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let query = sqlx::query(AssertSqlSafe("select ? in (?, ?, ?)")).persistent(kept);
        let query = query.bind(1).bind(1).bind(2).bind(3);
        times.push(timed(async { Ok(query.fetch_all(&mut *connection).await?) }).await?);
    }
    median(times)
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<f64> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn median(mut times: Vec<f64>) -> anyhow::Result<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("nothing was measured")
}
