//! L1 · What a server counts about itself, in OpenMetrics. No label names an organisation, a caller or a key: their
//! number has no bound.

pub mod connections;
pub mod log;
pub mod sync;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

pub use prometheus_client::registry::Registry;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The time that a request takes, in seconds.
const REQUESTS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Names and values.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Where everything that a process counts is registered.
pub fn registry() -> Registry {
    Registry::with_prefix("qs")
}

/// What every server counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<[(&'static str, String); 3], Counter>,
    durations: Family<[(&'static str, String); 2], Histogram>,
    auth_failures: Family<Labels<1>, Counter>,
    rate_limited: Counter,
    /// Those of the connections.
    pub connections: connections::ConnectionMetrics,
}

impl Metrics {
    /// Nothing is counted yet. What a program counts beside this it has registered before.
    pub fn new(mut registry: Registry) -> Self {
        let requests = Family::default();
        registry.register("http_requests", "Requests by route and status", requests.clone());
        let durations = Family::new_with_constructor((|| Histogram::new(REQUESTS)) as fn() -> Histogram);
        let help = "Time until the reply to a request was ready";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        let auth_failures = Family::default();
        registry.register("auth_failures", "Requests without a token that counts", auth_failures.clone());
        let rate_limited = Counter::default();
        registry.register("rate_limited", "Requests of callers that asked too often", rate_limited.clone());
        let connections = connections::ConnectionMetrics::new(&mut registry);
        registry.register("build", "This program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, requests, durations, auth_failures, rate_limited, connections }
    }

    /// A request was answered. `route` is the template of its path, so that there are only so many.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (("method", method.to_owned()), ("route", route.to_owned()));
        self.requests.get_or_create(&[method.clone(), route.clone(), ("status", status.to_string())]).inc();
        self.durations.get_or_create(&[method, route]).observe(took.as_secs_f64());
    }

    /// A request had no token that counts.
    pub fn auth_failure(&self, reason: &'static str) {
        self.auth_failures.get_or_create(&[("reason", reason)]).inc();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_under_its_name() {
        let metrics = Metrics::new(registry());
        metrics.request("GET", "/a/{id}", 200, Duration::from_millis(3));
        metrics.auth_failure("expired");
        metrics.rate_limited();
        metrics.connections.accepted();
        metrics.connections.gave_way("head");
        let text = metrics.text().unwrap();
        for line in [
            r#"qs_http_requests_total{method="GET",route="/a/{id}",status="200"} 1"#,
            r#"qs_http_request_duration_seconds_count{method="GET",route="/a/{id}"} 1"#,
            r#"qs_auth_failures_total{reason="expired"} 1"#,
            "qs_rate_limited_total 1",
            "qs_connections_accepted_total 1",
            r#"qs_connections_gave_way_total{phase="head"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
        }
        assert!(text.contains("qs_build_info{version=") && text.ends_with("# EOF\n"), "{text}");
    }
}
