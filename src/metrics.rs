//! L1 · What a server counts about itself, in OpenMetrics. No label names an organisation, a caller or a key: their
//! number has no bound.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The time that a request takes, in seconds.
const REQUESTS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The time that a sync takes, in seconds.
const SYNCS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0];

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    kind: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// A sync that ended.
#[derive(Clone, Copy, Debug)]
pub struct SyncEnd {
    /// Which sync.
    pub kind: &'static str,
    /// How it ended.
    pub status: &'static str,
    /// Items by what became of them.
    pub items: [(&'static str, u64); 4],
    /// How long it took, if that is known.
    pub duration: Option<Duration>,
    /// When it ended, in seconds since 1970, if everything was done.
    pub succeeded_at: Option<f64>,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    sync_runs: Family<RunLabels, Counter>,
    sync_items: Family<ItemLabels, Counter>,
    sync_durations: Family<KindLabels, Histogram>,
    sync_success: Family<KindLabels, Seconds>,
    auth_failures: Family<ReasonLabels, Counter>,
    rate_limited: Counter,
}

impl Metrics {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("qs");
        let requests = Family::default();
        registry.register("http_requests", "Requests by route and status", requests.clone());
        let durations = Family::new_with_constructor((|| Histogram::new(REQUESTS)) as fn() -> Histogram);
        let help = "Time until the reply to a request was ready";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        let sync_runs = Family::default();
        registry.register("sync_runs", "Syncs that ended, by how they ended", sync_runs.clone());
        let sync_items = Family::default();
        registry.register("sync_items", "Items of syncs, by what became of them", sync_items.clone());
        let sync_durations = Family::new_with_constructor((|| Histogram::new(SYNCS)) as fn() -> Histogram);
        registry.register_with_unit("sync_duration", "Time of a sync", Unit::Seconds, sync_durations.clone());
        let sync_success = Family::default();
        let help = "End of the last sync that did everything, since 1970";
        registry.register_with_unit("sync_last_success_timestamp", help, Unit::Seconds, sync_success.clone());
        let auth_failures = Family::default();
        registry.register("auth_failures", "Requests without a token that counts", auth_failures.clone());
        let rate_limited = Counter::default();
        registry.register("rate_limited", "Requests of callers that asked too often", rate_limited.clone());
        registry.register("build", "This program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            registry,
            requests,
            durations,
            sync_runs,
            sync_items,
            sync_durations,
            sync_success,
            auth_failures,
            rate_limited,
        }
    }

    /// A request was answered. `route` is the template of its path, so that there are only so many.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let labels = RouteLabels { method: method.clone(), route: route.clone() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// A sync ended.
    pub fn sync(&self, end: &SyncEnd) {
        let SyncEnd { kind, status, .. } = *end;
        self.sync_runs.get_or_create(&RunLabels { kind, status }).inc();
        for (outcome, items) in end.items {
            self.sync_items.get_or_create(&ItemLabels { kind, outcome }).inc_by(items);
        }
        if let Some(took) = end.duration {
            self.sync_durations.get_or_create(&KindLabels { kind }).observe(took.as_secs_f64());
        }
        if let Some(at) = end.succeeded_at {
            self.sync_success.get_or_create(&KindLabels { kind }).set(at);
        }
    }

    /// A request had no token that counts.
    pub fn auth_failure(&self, reason: &'static str) {
        self.auth_failures.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A caller asked too often.
    pub fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// Everything, in OpenMetrics.
    ///
    /// # Errors
    /// When a value has no text, which none of ours lacks.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_under_its_name() {
        let metrics = Metrics::new();
        metrics.request("GET", "/a/{id}", 200, Duration::from_millis(3));
        metrics.auth_failure("expired");
        metrics.rate_limited();
        metrics.sync(&SyncEnd {
            kind: "daily",
            status: "succeeded",
            items: [("written", 2), ("unchanged", 1), ("skipped", 0), ("failed", 0)],
            duration: Some(Duration::from_secs(2)),
            succeeded_at: Some(1_763_000_000.5),
        });
        let text = metrics.text().unwrap();
        for line in [
            r#"qs_http_requests_total{method="GET",route="/a/{id}",status="200"} 1"#,
            r#"qs_http_request_duration_seconds_count{method="GET",route="/a/{id}"} 1"#,
            r#"qs_sync_runs_total{kind="daily",status="succeeded"} 1"#,
            r#"qs_sync_items_total{kind="daily",outcome="written"} 2"#,
            r#"qs_sync_duration_seconds_sum{kind="daily"} 2.0"#,
            r#"qs_sync_last_success_timestamp_seconds{kind="daily"} 1763000000.5"#,
            r#"qs_auth_failures_total{reason="expired"} 1"#,
            "qs_rate_limited_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
        }
        assert!(text.contains("qs_build_info{version=") && text.ends_with("# EOF\n"), "{text}");
    }
}
