//! How a call is over: by itself, or because it was stopped.

use std::time::Duration;

use super::monitor::Monitor;
use crate::domain::exit::Exit;
use crate::domain::outcome::{AtStop, CallOutcome, CallReport};

/// A call that is over.
pub struct Ended {
    /// What it came to.
    pub report: CallReport,
    /// Who is still to be told.
    pub(super) monitor: Option<Monitor>,
    /// How long that may take, where the call was stopped; unset is as long as a ping may.
    pub(super) last_ping: Option<Duration>,
}

impl Ended {
    /// One that no monitor hears of.
    pub fn unheard(report: CallReport) -> Self {
        Self { report, monitor: None, last_ping: None }
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.last_ping.is_some()
    }

    /// Tells the monitor how the program ends, when everything is written: whatever the monitor does, the call is what it
    /// was. Given up when `stopped` ends. To be called in the run's span.
    pub async fn tell(self, exit: Exit, stopped: impl Future) {
        if let Some(monitor) = self.monitor {
            monitor.end(exit, &self.report.message, self.last_ping, stopped).await;
        }
    }
}

/// What ends a call before its time.
#[derive(Clone, Copy, Debug)]
pub struct StoppedBy {
    /// Its name, behind "stopped by".
    pub name: &'static str,
    /// What a call comes to that it ends.
    pub outcome: fn(AtStop) -> CallOutcome,
}

impl StoppedBy {
    /// What a call comes to that is stopped: only what has left may have been done.
    pub fn report(self, has_left: bool) -> CallReport {
        let (at, what) = if has_left {
            (AtStop::Sent, "a request that was under way may have been done")
        } else {
            (AtStop::NothingSent, "nothing was sent")
        };
        CallReport::without_reply((self.outcome)(at), format!("stopped by {}; {what}", self.name))
    }
}

/// How the program ends, and why in one line; `trouble` is what could not be written, and empty when everything was. No
/// trouble changes what the call came to.
pub fn exit_and_message(report: &CallReport, trouble: &[String]) -> (Exit, String) {
    let (exit, message, trouble) = (report.outcome.exit(), &report.message, trouble.join("; "));
    match (exit, trouble.is_empty()) {
        (_, true) => (exit, message.clone()),
        (Exit::Ok, false) => {
            let status = report.outcome.status();
            let line = format!("the call ended with {status}, but not everything was written: {trouble}");
            (Exit::Io, line)
        }
        (_, false) => (exit, format!("{message}; {trouble}")),
    }
}
