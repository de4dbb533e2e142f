//! The metrics of a task for Prometheus's textfile collector: one file a task, replaced as a whole.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::record::TaskRecord;
use crate::domain::outcome::CallStatus;
use crate::files::{self, PUBLIC};

/// Writes `<dir>/qs_api_call_<task>.prom`. The caller holds the lock of the task's record, so that the last run's
/// metrics are the last to be written.
pub fn write(dir: &Path, record: &TaskRecord) -> io::Result<()> {
    files::create_dir(dir, 0o755)?;
    let path = dir.join(format!("qs_api_call_{}.prom", record.last.task));
    files::exchange(&path, render(record).as_bytes(), PUBLIC)
}

/// The metrics as text. Labels are the task and the status: both bounded.
fn render(record: &TaskRecord) -> String {
    let mut text = String::new();
    let task = &record.last.task;
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        // Writing to a String cannot fail.
        let _infallible =
            writeln!(text, "# HELP qs_api_call_{name} {help}\n# TYPE qs_api_call_{name} {kind}");
        for (labels, value) in samples {
            let _infallible = writeln!(text, "qs_api_call_{name}{{task=\"{task}\"{labels}}} {value}");
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
    let seconds = |at: jiff::Timestamp| at.as_millisecond() as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
    let number = |n: u64| n as f64;
    metric(
        "last_run_timestamp_seconds",
        "gauge",
        "When the last run began.",
        &[("", seconds(record.last.started_at))],
    );
    if let Some(at) = record.last_success_at {
        metric(
            "last_success_timestamp_seconds",
            "gauge",
            "When the last run that succeeded began.",
            &[("", seconds(at))],
        );
    }
    let duration = number(record.last.duration_ms) / 1000.0;
    metric("last_duration_seconds", "gauge", "How long the last run took.", &[("", duration)]);
    metric(
        "last_exit_code",
        "gauge",
        "Exit code of the last run.",
        &[("", f64::from(record.last.exit_code))],
    );
    let failures = number(record.consecutive_failures);
    metric("consecutive_failures", "gauge", "Runs that failed since the last success.", &[("", failures)]);
    let totals = CallStatus::ALL
        .iter()
        .map(|status| (format!(",status=\"{status}\""), number(record.totals.of(*status))))
        .collect::<Vec<_>>();
    let totals: Vec<(&str, f64)> = totals.iter().map(|(labels, total)| (labels.as_str(), *total)).collect();
    metric("runs_total", "counter", "Runs by status.", &totals);
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::{Records, sample};
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_its_task() {
        let dir = tempfile::tempdir().unwrap();
        let record = Records::open(dir.path(), 5)
            .unwrap()
            .add(&sample("sync-daily", 90, CallStatus::Success))
            .unwrap();
        insta::assert_snapshot!(render(&record.record), @r#"
        # HELP qs_api_call_last_run_timestamp_seconds When the last run began.
        # TYPE qs_api_call_last_run_timestamp_seconds gauge
        qs_api_call_last_run_timestamp_seconds{task="sync-daily"} 90
        # HELP qs_api_call_last_success_timestamp_seconds When the last run that succeeded began.
        # TYPE qs_api_call_last_success_timestamp_seconds gauge
        qs_api_call_last_success_timestamp_seconds{task="sync-daily"} 90
        # HELP qs_api_call_last_duration_seconds How long the last run took.
        # TYPE qs_api_call_last_duration_seconds gauge
        qs_api_call_last_duration_seconds{task="sync-daily"} 0.012
        # HELP qs_api_call_last_exit_code Exit code of the last run.
        # TYPE qs_api_call_last_exit_code gauge
        qs_api_call_last_exit_code{task="sync-daily"} 0
        # HELP qs_api_call_consecutive_failures Runs that failed since the last success.
        # TYPE qs_api_call_consecutive_failures gauge
        qs_api_call_consecutive_failures{task="sync-daily"} 0
        # HELP qs_api_call_runs_total Runs by status.
        # TYPE qs_api_call_runs_total counter
        qs_api_call_runs_total{task="sync-daily",status="success"} 1
        qs_api_call_runs_total{task="sync-daily",status="accepted"} 0
        qs_api_call_runs_total{task="sync-daily",status="skipped"} 0
        qs_api_call_runs_total{task="sync-daily",status="failed"} 0
        qs_api_call_runs_total{task="sync-daily",status="unknown"} 0
        "#);
    }
}
