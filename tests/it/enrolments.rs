//! Who is in a plan: an enrolment that was ended stays ended until the testee is enrolled again, in every database.

use std::sync::Arc;

use jiff::tz::TimeZone;
use qs_scheduler::business::plan::{NewPlan, Page, Part, PlanError, Plans, TaskFilter};
use qs_scheduler::clock::Simulated;
use qs_scheduler::domain::plan::PlanEvent;
use qs_scheduler::domain::plan_schedule::{ScheduleFields, ScheduleType};
use qs_scheduler::domain::plan_task::{TaskEntry, TaskEvent};
use qs_scheduler::store::business::Store;
use qs_scheduler::store::business::plans::Inserted;

use crate::plans::{at, plan, task};
use crate::support::databases::TestDatabase;

const NOW: &str = "2026-11-21T08:00:00Z";

/// The plans of a database, and one of two tasks in which testees 5 and 6 are enrolled.
struct Place {
    plans: Plans,
    clock: Arc<Simulated>,
    plan: i64,
    name: &'static str,
}

impl Place {
    async fn new(database: &TestDatabase) -> Self {
        let clock = Simulated::new(at(NOW));
        let plans = Plans::new(database.store().await, clock.clone(), TimeZone::UTC);
        let fields = ScheduleFields { interval: Some(1), total_times: Some(2), ..ScheduleFields::default() };
        let new = NewPlan { scale_code: "PHQ9".to_owned(), schedule_type: ScheduleType::ByDay, fields };
        let plan = plans.create(1, new).await.unwrap().id;
        let place = Self { plans, clock, plan, name: database.name };
        place.enrol(5).await;
        place.enrol(6).await;
        place
    }

    async fn enrol(&self, testee: i64) -> i64 {
        let start = "2026-11-20".parse().unwrap();
        self.plans.enrol(1, self.plan, testee, start).await.unwrap()[0].id
    }

    async fn terminate(&self, testee: i64) -> u64 {
        self.plans.terminate(1, self.plan, testee).await.unwrap()
    }

    async fn pause(&self) {
        self.plans.stop(1, self.plan, PlanEvent::Pause).await.unwrap();
    }

    async fn resume(&self, named: &[i64]) -> Result<(), PlanError> {
        let starts = named.iter().map(|testee| (*testee, "2026-11-20".parse().unwrap())).collect();
        self.plans.resume(1, self.plan, starts).await.map(drop)
    }

    /// Number and state of each task of a testee that is not canceled.
    async fn left(&self, testee: i64) -> Vec<String> {
        let filter = TaskFilter { plan_id: Some(self.plan), testee_id: Some(testee), status: None };
        let all = self.plans.tasks(1, filter, Part::Page(Page { number: 1, size: 100 })).await.unwrap();
        let left = all.items.iter().filter(|task| task.status.as_str() != "canceled");
        left.map(|task| format!("{} {}", task.seq, task.status)).collect()
    }
}

const BOTH: [&str; 2] = ["1 pending", "2 pending"];

#[tokio::test]
async fn an_end_outlives_a_pause() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        assert_eq!(place.terminate(5).await, 2);
        assert_eq!(place.terminate(5).await, 0, "it is ended");
        place.pause().await;
        place.resume(&[]).await.unwrap();
        assert_eq!((place.left(5).await, place.left(6).await), (vec![], BOTH.map(str::to_owned).into()));

        place.enrol(5).await;
        place.pause().await;
        place.resume(&[5]).await.unwrap();
        assert_eq!(place.left(5).await, BOTH, "{}: enrolled again", place.name);
    }
}

#[tokio::test]
async fn whoever_is_taken_out_of_a_paused_plan_stays_out() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        place.pause().await;
        assert_eq!(place.terminate(5).await, 0, "{}: the pause has canceled the tasks", place.name);
        let refused = place.resume(&[5, 6]).await.unwrap_err();
        assert!(matches!(refused, PlanError::Invalid(_)), "{refused:?}");
        assert!(refused.to_string().contains("the enrolment of testee 5 was ended"), "{refused}");
        place.resume(&[6]).await.unwrap();
        assert_eq!((place.left(5).await, place.left(6).await), (vec![], BOTH.map(str::to_owned).into()));
    }
}

#[tokio::test]
async fn an_enrolment_that_never_was_cannot_be_ended() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        for (org_id, plan, testee) in [(1, place.plan, 7), (1, 99, 5), (2, place.plan, 5)] {
            let refused = place.plans.terminate(org_id, plan, testee).await.unwrap_err();
            assert!(matches!(refused, PlanError::NotFound { .. }), "{}: {refused:?}", place.name);
        }
    }
}

/// What was thought of before somebody was taken out does not bring them back.
#[tokio::test]
async fn an_end_while_a_plan_is_being_resumed_is_seen() {
    for database in TestDatabase::every().await {
        let store: Arc<dyn Store> = database.store().await;
        let plan = plan(1, 1);
        store.insert_plan(&plan, at(NOW)).await.unwrap();
        store.enrol(&[task(10, &plan, 5, 1)], at(NOW)).await.unwrap();
        let stop =
            store.stop_plan(1, 1, plan.status, qs_scheduler::domain::plan::PlanStatus::Paused, at(NOW));
        assert_eq!(stop.await.unwrap(), Some(1));
        assert!(!store.enrolments(1, 1).await.unwrap()[0].ended);
        assert_eq!(store.terminate(1, 1, 5, at(NOW)).await.unwrap(), Some(0));
        let resumed = store.resume_plan(1, 1, &[task(20, &plan, 5, 1)], at(NOW)).await.unwrap();
        assert_eq!(
            (resumed, store.find_task(1, 20).await.unwrap()),
            (Inserted::Stale, None),
            "{}",
            database.name
        );
        assert!(store.enrolments(1, 1).await.unwrap()[0].ended);
    }
}

/// What a resumed plan makes again is what comes after the highest task that was completed, whatever became of it.
#[tokio::test]
async fn a_task_that_was_canceled_or_expired_is_made_again() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        let (canceled, expired) = (place.left(5).await.len(), place.left(6).await.len());
        assert_eq!((canceled, expired), (2, 2));
        let filter = |testee| TaskFilter { plan_id: Some(place.plan), testee_id: Some(testee), status: None };
        let first = async |testee| {
            let all = place.plans.tasks(1, filter(testee), Part::Page(Page { number: 1, size: 9 })).await;
            all.unwrap().items[0].id
        };
        place.plans.apply(1, first(5).await, TaskEvent::Cancel).await.unwrap();
        let entry = TaskEntry { token: "t".to_owned(), url: "https://c.example/".to_owned() };
        let open = TaskEvent::Open { entry, expire_at: at("2026-11-28T08:00:00Z") };
        place.plans.apply(1, first(6).await, open).await.unwrap();
        place.plans.apply(1, first(6).await, TaskEvent::Expire).await.unwrap();
        place.pause().await;
        place.clock.advance(jiff::SignedDuration::from_secs(1));
        place.resume(&[]).await.unwrap();
        assert_eq!(place.left(5).await, BOTH, "{}", place.name);
        assert_eq!(place.left(6).await.len(), 3, "the expired one stays beside them");
    }
}

/// What was completed before somebody was enrolled again is no reason to leave tasks out.
#[tokio::test]
async fn a_second_enrolment_begins_at_its_own_first_task() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        let later = || place.clock.advance(jiff::SignedDuration::from_secs(1));
        let complete = async |id, assessment_id| {
            let entry = TaskEntry { token: "t".to_owned(), url: "https://c.example/".to_owned() };
            let open = TaskEvent::Open { entry, expire_at: at("2026-11-28T08:00:00Z") };
            place.plans.apply(1, id, open).await.unwrap();
            place.plans.apply(1, id, TaskEvent::Complete { assessment_id }).await.unwrap();
        };
        let filter = TaskFilter { plan_id: Some(place.plan), testee_id: Some(5), status: None };
        let made = place.plans.tasks(1, filter, Part::Page(Page { number: 1, size: 9 })).await.unwrap();
        for (assessment, task) in (50..).zip(&made.items) {
            complete(task.id, assessment).await;
        }
        later();
        let first = place.enrol(5).await;
        for (done, left) in [(None, &["1 pending", "2 pending"][..]), (Some(first), &["2 pending"])] {
            if let Some(id) = done {
                let open =
                    place.plans.tasks(1, filter, Part::Page(Page { number: 1, size: 9 })).await.unwrap();
                let open = open.items.iter().find(|task| task.status.as_str() == "pending").unwrap().id;
                assert_ne!(open, id, "{}: it was made again", place.name);
                complete(open, 60).await;
            }
            place.pause().await;
            later();
            place.resume(&[]).await.unwrap();
            let mut living = place.left(5).await;
            living.retain(|task| task.ends_with("pending"));
            assert_eq!(living, left, "{}", place.name);
        }
    }
}

/// The state of each answer, `None` where the state or the time forbids it.
fn state<T>(answer: Result<T, PlanError>, status: impl Fn(T) -> String) -> Option<String> {
    match answer {
        Ok(found) => Some(status(found)),
        Err(PlanError::State { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_that_is_repeated_is_answered_as_before_and_what_cannot_be_is_refused() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        let apply = async |id, event: TaskEvent| {
            state(place.plans.apply(1, id, event).await, |task| task.status.to_string())
        };
        let stop =
            async |event| state(place.plans.stop(1, place.plan, event).await, |plan| plan.status.to_string());
        let was = |status: &str| Some(status.to_owned());
        let (expired, completed) = (place.enrol(7).await, place.enrol(8).await);
        let open = |end: &str| {
            let entry = TaskEntry { token: "t".to_owned(), url: "https://c.example/".to_owned() };
            TaskEvent::Open { entry, expire_at: at(end) }
        };
        let complete = |assessment_id| TaskEvent::Complete { assessment_id };
        for id in [expired, completed] {
            // Databases keep milliseconds.
            for _ in 0..2 {
                assert_eq!(apply(id, open("2026-11-28T08:00:00.000123Z")).await, was("opened"));
            }
            assert_eq!(apply(id, open("2026-11-29T08:00:00Z")).await, None, "{}", place.name);
        }
        for (id, event, after) in [
            (expired, TaskEvent::Expire, was("expired")),
            (expired, TaskEvent::Expire, was("expired")),
            (expired, TaskEvent::Cancel, None),
            (expired, complete(5), None),
            (completed, complete(5), was("completed")),
            (completed, complete(5), was("completed")),
            (completed, complete(6), None),
            (completed, TaskEvent::Cancel, None),
            (completed, TaskEvent::Expire, None),
        ] {
            assert_eq!(apply(id, event.clone()).await, after, "{} {event:?}", place.name);
        }
        assert!(place.resume(&[]).await.is_ok(), "it goes on already");
        assert!(matches!(place.resume(&[5]).await, Err(PlanError::State { .. })), "the start would be lost");
        for (event, after) in [
            (PlanEvent::Pause, was("paused")),
            (PlanEvent::Pause, was("paused")),
            (PlanEvent::Cancel, was("canceled")),
            (PlanEvent::Cancel, was("canceled")),
            (PlanEvent::Pause, None),
        ] {
            assert_eq!(stop(event).await, after, "{} {event:?}", place.name);
        }
        assert!(matches!(place.resume(&[]).await, Err(PlanError::State { .. })));
    }
}

/// What can be filled in does not hang on when the scheduled work ran.
#[tokio::test]
async fn a_task_whose_time_is_over_is_not_completed() {
    for database in TestDatabase::every().await {
        let place = Place::new(&database).await;
        let id = place.enrol(7).await;
        let entry = TaskEntry { token: "t".to_owned(), url: "https://c.example/".to_owned() };
        let open = TaskEvent::Open { entry, expire_at: at("2026-11-21T09:00:00Z") };
        place.plans.apply(1, id, open).await.unwrap();
        place.clock.advance(jiff::SignedDuration::from_hours(1));
        let late = place.plans.apply(1, id, TaskEvent::Complete { assessment_id: 5 }).await.unwrap_err();
        assert!(matches!(late, PlanError::State { .. }), "{}: {late:?}", place.name);
        assert!(late.to_string().ends_with("after it expired at 2026-11-21T09:00:00Z"), "{late}");
        assert_eq!(place.left(7).await, ["1 opened", "2 pending"]);
    }
}
