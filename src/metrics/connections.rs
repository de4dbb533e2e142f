//! What is counted of connections.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;

/// The connections of a server.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    open: Family<Labels<1>, Gauge>,
    accepted: Counter,
    gave_way: Family<Labels<1>, Counter>,
    refused: Counter,
    timed_out: Family<Labels<1>, Counter>,
    accept_errors: Counter,
    heads_refused: Family<Labels<1>, Counter>,
}

impl ConnectionMetrics {
    /// Nothing is counted yet.
    pub fn new(registry: &mut Registry) -> Self {
        let open = Family::default();
        registry.register("connections", "Open connections, by what each is busy with", open.clone());
        let accepted = Counter::default();
        registry.register("connections_accepted", "Connections that got a place", accepted.clone());
        let gave_way = Family::default();
        let help = "Connections that were ended to make room, by what they were busy with";
        registry.register("connections_gave_way", help, gave_way.clone());
        let refused = Counter::default();
        let help = "Connections that were refused because none could give way";
        registry.register("connections_refused", help, refused.clone());
        let timed_out = Family::default();
        let help = "Connections that waited too long, by what for";
        registry.register("connections_timed_out", help, timed_out.clone());
        let accept_errors = Counter::default();
        let help = "Times that the system gave no connection";
        registry.register("accept_errors", help, accept_errors.clone());
        let heads_refused = Family::default();
        let help = "Heads that were answered with 400, 414 or 431 because they are no request of HTTP/1";
        registry.register("http_heads_refused", help, heads_refused.clone());
        Self { open, accepted, gave_way, refused, timed_out, accept_errors, heads_refused }
    }

    /// So many are open in this phase.
    pub fn open(&self, phase: &'static str, connections: usize) {
        let gauge = self.open.get_or_create(&[("phase", phase)]);
        gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// A connection got a place.
    pub fn accepted(&self) {
        self.accepted.inc();
    }

    /// A connection was ended to make room.
    pub fn gave_way(&self, phase: &'static str) {
        self.gave_way.get_or_create(&[("phase", phase)]).inc();
    }

    /// A connection got no place.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A connection waited too long.
    pub fn timed_out(&self, phase: &'static str) {
        self.timed_out.get_or_create(&[("phase", phase)]).inc();
    }

    /// The head of a request could not be read.
    pub fn head_refused(&self, reason: &'static str) {
        self.heads_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// The system gave no connection.
    pub fn accept_error(&self) {
        self.accept_errors.inc();
    }
}
