//! The metrics of a task for Prometheus's textfile collector: one file a task, replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::record::TaskRecord;
use crate::domain::outcome::CallStatus;
use crate::files::{self, PUBLIC};

/// Writes `<dir>/qs_api_call_<task>.prom`; the directory is there. The caller holds the lock of the task's record, so that the last run's
/// metrics are the last to be written.
pub fn write(dir: &Path, record: &TaskRecord) -> io::Result<()> {
    files::exchange(&path(dir, &record.last.task), render(record).as_bytes(), PUBLIC)
}

/// Removes the file of a task, and what is kept beside it for its next replacement.
pub fn forget(dir: &Path, task: &str) -> io::Result<()> {
    files::remove(&files::spare(&path(dir, task)))?;
    files::remove(&path(dir, task)).map(drop)
}

fn path(dir: &Path, task: &str) -> PathBuf {
    dir.join(format!("qs_api_call_{task}.prom"))
}

/// The metrics as text. Labels are the task and the status: both bounded.
fn render(record: &TaskRecord) -> String {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
    let seconds = |milliseconds: i64| (milliseconds as f64 / 1000.0).to_string();
    let moment = |at: Timestamp| seconds(at.as_millisecond());
    let (last, task) = (&record.last, &record.last.task);
    let duration = seconds(i64::try_from(last.duration_ms).unwrap_or(i64::MAX));
    let failures = record.consecutive_failures.to_string();
    // An alert on the age of the last success must see a task that never had one.
    let success = record.last_success_at.map_or_else(|| "0".to_owned(), moment);
    let mut text = Vec::new();
    for (name, help, value) in [
        ("last_run_timestamp_seconds", "When the last run began.", moment(last.started_at)),
        (
            "last_success_timestamp_seconds",
            "When the last run that succeeded or was accepted began; 0 before the first.",
            success,
        ),
        ("last_duration_seconds", "How long the last run took, without jitter.", duration),
        ("last_exit_code", "Exit code of the last run.", last.exit_code.to_string()),
        ("consecutive_failures", "Runs that failed since the last success.", failures),
    ] {
        text.push(head(name, "gauge", help));
        text.push(format!("qs_api_call_{name}{{task=\"{task}\"}} {value}\n"));
    }
    text.push(head("runs_total", "counter", "Runs by status."));
    let mut totals = record.totals.clone();
    for status in CallStatus::ALL {
        let total = totals.of_mut(*status);
        text.push(format!("qs_api_call_runs_total{{task=\"{task}\",status=\"{status}\"}} {total}\n"));
    }
    text.concat()
}

fn head(name: &str, kind: &str, help: &str) -> String {
    format!("# HELP qs_api_call_{name} {help}\n# TYPE qs_api_call_{name} {kind}\n")
}

#[cfg(test)]
mod tests {
    use super::super::record::{Records, sample};
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_its_task() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path(), 5).unwrap();
        let failed = records.add(&sample("sync-daily", 80, CallStatus::Failed)).unwrap();
        let never = "qs_api_call_last_success_timestamp_seconds{task=\"sync-daily\"} 0\n";
        assert!(render(&failed.record).contains(never), "an alert must see a task that never succeeded");
        drop(failed);
        records.forget("sync-daily").unwrap();
        let added = records.add(&sample("sync-daily", 90, CallStatus::Success)).unwrap();
        insta::assert_snapshot!(render(&added.record), @r#"
        # HELP qs_api_call_last_run_timestamp_seconds When the last run began.
        # TYPE qs_api_call_last_run_timestamp_seconds gauge
        qs_api_call_last_run_timestamp_seconds{task="sync-daily"} 90
        # HELP qs_api_call_last_success_timestamp_seconds When the last run that succeeded or was accepted began; 0 before the first.
        # TYPE qs_api_call_last_success_timestamp_seconds gauge
        qs_api_call_last_success_timestamp_seconds{task="sync-daily"} 90
        # HELP qs_api_call_last_duration_seconds How long the last run took, without jitter.
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
