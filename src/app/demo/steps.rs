//! What the demonstration does, step by step, and what must come of each.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::crontab::CrontabCall;
use super::setup::{CallResult, Setup};
use crate::cli::output::{Failure, Output};
use crate::clock::{Clock, SystemClock};
use crate::domain::exit::Exit;

/// One step: what is done, what must come of it, what came of it.
pub(super) struct DemoStep {
    pub(super) what: String,
    expected: Expected,
    pub(super) called: CallResult,
}

/// What a step must come to.
#[derive(Clone, Copy)]
struct Expected {
    exit: Exit,
    status: &'static str,
    /// Requests to the endpoint.
    attempts: u64,
    /// `file`, `login`, or nothing when no token was needed.
    token: Option<&'static str>,
    /// Rows written and unchanged, where the reply must say so.
    rows: Option<(u64, u64)>,
}

const SUCCESS: Expected =
    Expected { exit: Exit::Ok, status: "success", attempts: 1, token: Some("file"), rows: None };

/// What the five entries must write and leave unchanged, in the order of the crontab.
type Rows = [(u64, u64); 5];

/// Three counters: two questionnaires and a person. One plan. Twice that many rows are compared, and the plan's. Two of
/// the plan's three tasks are due.
const FIRST: Rows = [(3, 0), (3, 0), (1, 0), (0, 7), (2, 0)];
/// An interpretation has changed one questionnaire and the person, a completed task the plan. Nothing is due any more.
const SECOND: Rows = [(2, 1), (2, 1), (1, 0), (0, 7), (0, 0)];
/// Nothing has happened.
const THIRD: Rows = [(0, 3), (0, 3), (0, 1), (0, 7), (0, 0)];

impl DemoStep {
    pub(super) fn is_as_expected(&self) -> bool {
        let Expected { exit, status, attempts, token, rows } = self.expected;
        let json = &self.called.json;
        let data = &json["body"]["data"];
        self.called.code == Some(exit.code().into())
            && json["status"] == status
            && json["attempts"] == attempts
            && json["token_source"].as_str() == token
            && rows.is_none_or(|(written, unchanged)| {
                data["written"] == written && data["unchanged"] == unchanged
            })
    }
}

/// Takes every step.
pub(super) async fn take(
    setup: &mut Setup,
    entries: &[CrontabCall],
    output: Output,
) -> Result<Vec<DemoStep>, Failure> {
    let mut steps = Steps { output, taken: Vec::new() };
    steps.business(setup).await?;
    steps.round(setup, entries, "first run", FIRST).await?;
    steps.more_business(setup).await?;
    steps.round(setup, entries, "second run", SECOND).await?;
    steps.round(setup, entries, "nothing has happened since", THIRD).await?;
    if let Some(entry) = entries.first() {
        steps.failures(setup, entry).await?;
    }
    Ok(steps.taken)
}

struct Steps {
    output: Output,
    taken: Vec<DemoStep>,
}

impl Steps {
    /// Notes a step; answers the data of its reply.
    fn note(&mut self, what: impl Into<String>, expected: Expected, called: CallResult) -> Value {
        let what = what.into();
        self.output.note(&format!("- {what}"));
        let data = called.json["body"]["data"].clone();
        self.taken.push(DemoStep { what, expected, called });
        data
    }

    /// Something to count and something to open.
    async fn business(&mut self, setup: &Setup) -> Result<(), Failure> {
        let event = |id: &str, code: &str| json!({ "event_id": id, "type": "submitted", "questionnaire_code": code, "testee_id": 42, "origin": "plan" });
        let first = Expected { token: Some("login"), ..SUCCESS };
        let called = setup.post(EVENTS, &event("demo-1", "PHQ-9")).await?;
        self.note("report an event, so that there is something to count: a first login", first, called);
        let called = setup.post(EVENTS, &event("demo-2", "GAD-7")).await?;
        self.note("report another: the cached token serves", SUCCESS, called);
        let called = setup.post(EVENTS, &event("demo-1", "PHQ-9")).await?;
        self.note("report the first again: an event counts once", SUCCESS, called);

        let plan =
            json!({ "scale_code": "PHQ-9", "schedule_type": "by_day", "interval": 1, "total_times": 3 });
        let plan = self.note("make a plan: three days", SUCCESS, setup.post(PLANS, &plan).await?);
        let yesterday = SystemClock.now().to_zoned(TimeZone::system()).date().yesterday();
        let yesterday = yesterday
            .map_err(|_| Failure::new(Exit::Internal, "the clock stands on the first day of the calendar"))?;
        let start = yesterday.to_string();
        let enrolment = json!({ "plan_id": plan["id"], "testee_id": 42, "start_date": start });
        let called = setup.post(&format!("{PLANS}/enroll"), &enrolment).await?;
        self.note("enrol a person as of yesterday: two of the three tasks are due", SUCCESS, called);
        Ok(())
    }

    async fn more_business(&mut self, setup: &Setup) -> Result<(), Failure> {
        let event = json!({
            "event_id": "demo-3", "type": "interpreted", "questionnaire_code": "PHQ-9", "testee_id": 42,
            "risk_level": "low",
        });
        let called = setup.post(EVENTS, &event).await?;
        self.note("an assessment is interpreted", SUCCESS, called);
        let opened = setup.get(&format!("{PLANS}/tasks?status=opened")).await?;
        let opened = self.note("list the opened tasks", SUCCESS, opened);
        // Without a task in the list the next path names none: both steps are shown as what they are.
        let task = opened["items"][0]["id"].as_str().unwrap_or_default().to_owned();
        let called =
            setup.post(&format!("{PLANS}/tasks/{task}/complete"), &json!({ "assessment_id": 7 })).await?;
        self.note("the person completes one of them", SUCCESS, called);
        Ok(())
    }

    /// The five entries of the crontab, in its order.
    async fn round(
        &mut self,
        setup: &Setup,
        entries: &[CrontabCall],
        when: &str,
        rows: Rows,
    ) -> Result<(), Failure> {
        for (entry, rows) in entries.iter().zip(rows) {
            let expected = Expected { rows: Some(rows), ..SUCCESS };
            self.note(format!("{}: {when}", entry.task), expected, setup.call(entry).await?);
        }
        Ok(())
    }

    /// Things that break, and that the call notices.
    async fn failures(&mut self, setup: &mut Setup, entry: &CrontabCall) -> Result<(), Failure> {
        let lie = setup.against_broken_gateway(entry).await?;
        // Another server: the token that is there never goes to it, nor the new one back.
        let failed = Expected { exit: Exit::Failed, status: "failed", token: Some("login"), ..SUCCESS };
        self.note("a gateway answers 200 with an error inside: a failure", failed, lie);
        let unknown = setup.get("/api/v1/nobody/knows").await?;
        self.note("an endpoint that nobody knows: 404, a failure", failed, unknown);

        setup.stop_server().await?;
        let down = Expected { exit: Exit::TryLater, status: "failed", attempts: 3, ..SUCCESS };
        self.note("the server is down: tried again, then try later", down, setup.call(entry).await?);

        setup.start_with_new_keys().await?;
        let replaced = Expected { attempts: 2, token: Some("login"), ..SUCCESS };
        let called = setup.call(entry).await?;
        self.note("it is back with new keys: one 401, one login, one repetition", replaced, called);
        self.output.note("  (waiting for that token, which lives two seconds, to expire)");
        setup.wait_for_expiry(Duration::from_secs(30)).await?;
        let first = Expected { token: Some("login"), ..SUCCESS };
        let called = setup.call(entry).await?;
        self.note("the token has expired: it is replaced before it is used", first, called);
        Ok(())
    }
}

const EVENTS: &str = "/api/v1/statistics/events";
const PLANS: &str = "/api/v1/plans";
