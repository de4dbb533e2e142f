//! What the housekeeper does now and then, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use qs_scheduler::business::housekeeper::{Cleaned, Housekeeper, Retention};
use qs_scheduler::business::organisations::Organisations;
use qs_scheduler::business::sync_run::SyncRuns;
use qs_scheduler::clock::Clock;
use qs_scheduler::clock::periodic::Periodic;
use qs_scheduler::domain::sync_run::{NewSyncRun, SyncKind};

use crate::support::business::{Business, Job};
use crate::support::databases::TestDatabase;

#[tokio::test]
async fn a_sync_that_nobody_carries_on_is_given_up_and_old_records_go() {
    let file = TestDatabase::sqlite();
    let business = Business::embedded(&file).await;
    let (store, counters, clock) = (&business.store, &business.counters, &business.clock);
    let organisations = Organisations::new(store.clone(), counters.clone());
    let lease = Duration::from_secs(60);
    let runs = SyncRuns::new(store.clone(), organisations, clock.clone(), lease, Box::new(|_| {}));
    let day = Duration::from_hours(24);
    let retention = Retention { records: day, events: day };
    let mut housekeeper = Housekeeper::new(store.clone(), counters.clone(), Arc::new(runs), retention);

    business.done(1, Job::Plan).await;
    business.done(1, Job::Plan).await;
    let killed = NewSyncRun {
        id: "killed".to_owned(),
        kind: SyncKind::Daily,
        org_id: 1,
        trigger: "api".to_owned(),
        caller: "test".to_owned(),
        idempotency_key: None,
        request: "daily".to_owned(),
        window: None,
        lease: SyncKind::Daily.lease(1),
        lease_until: clock.now() + lease,
        started_at: clock.now(),
    };
    store.begin(&killed).await.unwrap();
    let nothing = Cleaned::default();
    assert_eq!(housekeeper.tick(clock.now()).await, Ok(nothing), "its lease may be renewed");
    clock.advance(SignedDuration::from_secs(61));
    assert_eq!(housekeeper.tick(clock.now()).await, Ok(Cleaned { abandoned: 1, ..nothing }));
    let error = store.find(1, "killed").await.unwrap().unwrap().progress.error;
    assert_eq!(error.as_deref(), Some("the server stopped before the sync ended"));

    clock.advance(SignedDuration::from_hours(25));
    let forgotten = Cleaned { records: 2, ..nothing };
    assert_eq!(
        housekeeper.tick(clock.now()).await,
        Ok(forgotten),
        "the newest that covered everything stays"
    );
    assert_eq!(housekeeper.tick(clock.now()).await, Ok(nothing));
}
