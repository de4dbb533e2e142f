//! The services over any two adapters, without HTTP, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use qs_scheduler::business::organisations::Organisations;
use qs_scheduler::business::statistics::{Mode, Statistics};
use qs_scheduler::business::sync_run::{Scope, Started, SyncCaller, SyncRuns};
use qs_scheduler::clock::{Clock, Simulated};
use qs_scheduler::counters::Counters;
use qs_scheduler::counters::embedded::EmbeddedCounters;
use qs_scheduler::domain::statistics::DayRange;
use qs_scheduler::domain::sync_run::{SyncRun, SyncStatus};
use qs_scheduler::sql::Db;
use qs_scheduler::store::business::Store;

use super::databases::TestDatabase;

/// What can be asked of the statistics.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    Daily,
    Window(DayRange),
    Accumulated,
    Plan,
    Report,
    Repair,
}

/// The services, and what they stand on.
pub struct Business {
    pub clock: Arc<Simulated>,
    pub db: Db,
    pub store: Arc<dyn Store>,
    pub counters: Arc<dyn Counters>,
    pub statistics: Statistics,
}

impl Business {
    /// At noon of a day in the middle of a year, in UTC.
    pub fn new(db: Db, store: Arc<dyn Store>, counters: Arc<dyn Counters>) -> Self {
        let clock = Simulated::new("2026-06-15T12:00:00Z".parse().unwrap());
        let organisations = Organisations::new(store.clone(), counters.clone());
        let lease = Duration::from_secs(60);
        let runs = SyncRuns::new(store.clone(), organisations, clock.clone(), lease, Box::new(|_| {}));
        let statistics =
            Statistics::new(store.clone(), counters.clone(), Arc::new(runs), clock.clone(), TimeZone::UTC);
        Self { clock, db, store, counters, statistics }
    }

    /// On a SQLite file with embedded counters.
    pub async fn embedded(database: &TestDatabase) -> Self {
        let (store, db) = (database.store().await, database.connect().await);
        EmbeddedCounters::migrate(&db).await.unwrap();
        let counters = Arc::new(EmbeddedCounters::open(db.clone()).await.unwrap());
        Self::new(db, store, counters)
    }

    /// Does it, a second after whatever came before.
    pub async fn run(&self, org_id: i64, job: Job) -> SyncRun {
        self.clock.advance(SignedDuration::from_secs(1));
        let caller = SyncCaller {
            scope: Scope::Organisation(org_id),
            caller: "test".to_owned(),
            trigger: "api".to_owned(),
            idempotency_key: None,
        };
        let started = match job {
            Job::Daily => self.statistics.sync_daily(caller, (None, None)).await,
            Job::Window(days) => self.statistics.sync_daily(caller, (Some(days.start), Some(days.end))).await,
            Job::Accumulated => self.statistics.sync_accumulated(caller).await,
            Job::Plan => self.statistics.sync_plan(caller, None).await,
            Job::Report => self.statistics.validate(caller, Mode::Report).await,
            Job::Repair => self.statistics.validate(caller, Mode::Repair).await,
        };
        let Started::Running(running) = started.unwrap() else { panic!("no key was given") };
        let run = running.ended().await.unwrap();
        let p = &run.progress;
        assert_eq!(p.scanned, p.written + p.unchanged + p.skipped + p.failed, "{job:?}: {run:?}");
        self.clock.advance(SignedDuration::from_secs(1));
        run
    }

    /// Does all of it.
    pub async fn done(&self, org_id: i64, job: Job) -> SyncRun {
        let run = self.run(org_id, job).await;
        assert_eq!(run.status, SyncStatus::Succeeded, "{job:?}: {run:?}");
        run
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn today(&self) -> Date {
        self.now().to_zoned(TimeZone::UTC).date()
    }

    /// The wall clock as the tables show it.
    pub fn wall(&self) -> String {
        self.now().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}
