//! What is counted of syncs that ended.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Labels;
use crate::domain::sync_run::{EVERY_ORGANISATION, SyncRun, SyncStatus};

/// The time that a sync takes, in seconds.
const DURATIONS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0];

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// The syncs that ended.
#[derive(Debug)]
pub struct SyncMetrics {
    runs: Family<Labels<2>, Counter>,
    items: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram>,
    success: Family<Labels<1>, Seconds>,
}

impl SyncMetrics {
    /// Nothing is counted yet.
    pub fn new(registry: &mut Registry) -> Self {
        let runs = Family::default();
        registry.register("sync_runs", "Syncs that ended, by how they ended", runs.clone());
        let items = Family::default();
        registry.register("sync_items", "Items of syncs, by what became of them", items.clone());
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        registry.register_with_unit("sync_duration", "Time of a sync", Unit::Seconds, durations.clone());
        let success = Family::default();
        let help = "End of the last sync that did everything, since 1970";
        registry.register_with_unit("sync_last_success_timestamp", help, Unit::Seconds, success.clone());
        Self { runs, items, durations, success }
    }

    /// A sync ended. One of every organisation adds nothing: each of its parts has a record and was counted. Only that it
    /// failed is counted, for an organisation whose sync could not start has no record.
    pub fn ended(&self, run: &SyncRun) {
        let (kind, status) = (run.kind.as_str(), run.status.as_str());
        let whole = run.org_id == EVERY_ORGANISATION;
        if whole && run.status == SyncStatus::Succeeded {
            return;
        }
        self.runs.get_or_create(&[("kind", kind), ("status", status)]).inc();
        let done = &run.progress;
        for (outcome, items) in [
            ("written", done.written),
            ("unchanged", done.unchanged),
            ("skipped", done.skipped),
            ("failed", done.failed),
        ] {
            let items = if whole { 0 } else { items };
            self.items.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc_by(items);
        }
        let Some(ended) = run.finished_at.filter(|_| !whole) else { return };
        let took = ended.duration_since(run.started_at).as_secs_f64();
        self.durations.get_or_create(&[("kind", kind)]).observe(took.max(0.0));
        if run.status == SyncStatus::Succeeded {
            self.success.get_or_create(&[("kind", kind)]).set(ended.as_duration().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, registry};
    use super::*;
    use crate::domain::sync_run::{SyncKind, SyncProgress};

    /// The metrics after this sync ended.
    fn text(org_id: i64, status: SyncStatus, finished_at: Option<&str>) -> String {
        let mut registry = registry();
        SyncMetrics::new(&mut registry).ended(&SyncRun {
            id: "1".to_owned(),
            kind: SyncKind::Daily,
            org_id,
            trigger: "api".to_owned(),
            caller: "test".to_owned(),
            idempotency_key: None,
            retry_of: None,
            request: "daily".to_owned(),
            window: None,
            status,
            progress: SyncProgress { written: 3, failed: 2, ..SyncProgress::default() },
            started_at: "2026-11-21T08:00:00Z".parse().unwrap(),
            finished_at: finished_at.map(|at| at.parse().unwrap()),
        });
        Metrics::new(registry).text().unwrap()
    }

    #[track_caller]
    fn holds(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line}\nin\n{text}");
        }
    }

    const END: Option<&str> = Some("2026-11-21T08:00:01.5Z");

    #[test]
    fn a_sync_that_ended_is_counted_with_its_items() {
        let failed = text(7, SyncStatus::Failed, END);
        holds(
            &failed,
            &[
                r#"qs_sync_runs_total{kind="daily",status="failed"} 1"#,
                r#"qs_sync_items_total{kind="daily",outcome="written"} 3"#,
                r#"qs_sync_items_total{kind="daily",outcome="failed"} 2"#,
                r#"qs_sync_duration_seconds_sum{kind="daily"} 1.5"#,
            ],
        );
        assert!(!failed.contains("qs_sync_last_success_timestamp_seconds{"), "{failed}");
        let unknown = text(7, SyncStatus::Failed, None);
        assert!(!unknown.contains("qs_sync_duration_seconds_sum{"), "nothing is guessed: {unknown}");
        let end = r#"qs_sync_last_success_timestamp_seconds{kind="daily"} 1795248001.5"#;
        holds(&text(7, SyncStatus::Succeeded, END), &[end]);
    }

    #[test]
    fn a_sync_of_every_organisation_counts_only_when_it_failed() {
        let succeeded = text(EVERY_ORGANISATION, SyncStatus::Succeeded, END);
        assert!(!succeeded.contains("qs_sync_runs_total{"), "{succeeded}");
        let failed = text(EVERY_ORGANISATION, SyncStatus::Failed, END);
        holds(
            &failed,
            &[
                r#"qs_sync_runs_total{kind="daily",status="failed"} 1"#,
                r#"qs_sync_items_total{kind="daily",outcome="written"} 0"#,
            ],
        );
        assert!(!failed.contains("qs_sync_duration_seconds_sum{"), "{failed}");
    }
}
