//! What the program is filled with, through its own routes: so any version of it can be.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::apiserver::Apiserver;

/// In words.
pub(crate) const SUMMARY: &str = "100,000 tasks of 1,000 testees in 10 plans, 1,000 of them opened; statistics of 20 \
                                  questionnaires, 500 testees and 10 plans; 22 records of syncs";

const PLANS: usize = 10;
const TESTEES: usize = 1_000;
/// Tasks of each testee.
const TASKS: u32 = 100;
const EVENTS: usize = 1_000;
/// Requests at a time.
const AT_ONCE: usize = 4;

/// What is there, by which routes are asked.
pub(crate) struct Filled {
    pub(crate) plan: String,
    pub(crate) task: String,
    pub(crate) run: String,
    /// The cursor after fifty pages of tasks, if the program has cursors.
    pub(crate) after: String,
}

/// Fills it, and looks whether all of it is there.
pub(crate) async fn fill(program: &Apiserver) -> anyhow::Result<Filled> {
    let mut plans = Vec::new();
    for _ in 0..PLANS {
        let body =
            json!({"scale_code": "PHQ9", "schedule_type": "by_day", "interval": 1, "total_times": TASKS});
        let plan = program.post("/api/v1/plans", &body).await?;
        plans.push(plan["data"]["id"].as_str().context("no id of a plan")?.to_owned());
    }
    let enrolments = (0..TESTEES).map(|testee| {
        json!({"plan_id": plans[testee % PLANS], "testee_id": testee + 1, "start_date": "2026-01-01"})
    });
    all(program, "/api/v1/plans/enroll", enrolments.collect()).await?;
    let events = (0..EVENTS).map(|number| {
        json!({
            "event_id": format!("fill-{number}"), "type": "submitted", "origin": "wechat",
            "questionnaire_code": format!("Q{}", number % 20), "testee_id": number % 500 + 1,
            "plan_id": plans[number % PLANS],
        })
    });
    all(program, "/api/v1/statistics/events", events.collect()).await?;
    let due = json!({"before": "2026-01-01 00:00:00", "limit": 1_000});
    program.post("/api/v1/plans/tasks/schedule", &due).await?;
    let mut run = Value::Null;
    for _ in 0..7 {
        for sync in ["daily", "accumulated", "plan"] {
            run = program.post(&format!("/api/v1/statistics/sync/{sync}"), &json!({})).await?;
        }
    }
    let page = program.get("/api/v1/plans/tasks?page=50").await?;
    let total = &page["data"]["total_count"];
    ensure!(*total == json!(100_000), "{total} tasks, not 100,000");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Filled {
        plan: plans.swap_remove(0),
        task: text(&page["data"]["items"][0]["id"]).context("no id of a task")?,
        run: text(&run["data"]["run_id"]).context("no id of a sync")?,
        // A program without cursors refuses the word.
        after: text(&page["data"]["next"]).unwrap_or_else(|| "none".to_owned()),
    })
}

/// Sends all of them, some at a time.
async fn all(program: &Apiserver, path: &str, bodies: Vec<Value>) -> anyhow::Result<()> {
    let bodies = std::sync::Mutex::new(bodies.into_iter());
    let next = || bodies.lock().ok().and_then(|mut bodies| bodies.next());
    let sender = || async {
        while let Some(body) = next() {
            program.post(path, &body).await?;
        }
        anyhow::Ok(())
    };
    let senders: [_; AT_ONCE] = std::array::from_fn(|_| sender());
    let [one, two, three, four] = senders;
    tokio::try_join!(one, two, three, four)?;
    Ok(())
}
