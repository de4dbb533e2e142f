//! What the log could not take: counted where it is lost, read when it is asked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

#[derive(Debug)]
struct Lost(Arc<AtomicU64>);

impl Collector for Lost {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let lost = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let help = "Lines of the log that were dropped because nobody took them, or could not be written";
        let metric = encoder.encode_descriptor("log_lines_dropped", help, None, lost.metric_type())?;
        lost.encode(metric)
    }
}

/// Registers the number of lines that the log has lost.
pub fn register(registry: &mut Registry, lost: Arc<AtomicU64>) {
    registry.register_collector(Box::new(Lost(lost)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_told_under_their_name() {
        let mut registry = Registry::with_prefix("qs");
        register(&mut registry, Arc::new(AtomicU64::new(7)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.lines().any(|line| line == "qs_log_lines_dropped_total 7"), "{text}");
    }
}
