//! The signals that end a run.

use tokio::signal::unix::{SignalKind, signal};

use crate::domain::exit::Exit;
use crate::domain::outcome::CallOutcome;

/// Which signal it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGHUP, from a terminal or session that ends.
    HangUp,
    /// SIGINT, from a keyboard.
    Interrupt,
    /// SIGTERM, from a supervisor.
    Terminate,
}

impl Stop {
    /// What a call comes to that is stopped by it.
    pub fn outcome(self) -> CallOutcome {
        match self {
            Stop::HangUp => CallOutcome::HungUp,
            Stop::Interrupt => CallOutcome::Interrupted,
            Stop::Terminate => CallOutcome::Terminated,
        }
    }

    /// The exit code: 128 and the signal's number.
    pub fn exit(self) -> Exit {
        self.outcome().exit()
    }

    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Stop::HangUp => "SIGHUP",
            Stop::Interrupt => "SIGINT",
            Stop::Terminate => "SIGTERM",
        }
    }
}

/// Waits for the first of them. One that this process was started to ignore stays ignored: `nohup` does that with SIGHUP,
/// a shell with SIGINT for what it runs in the background. Where handlers cannot be set the default action remains.
pub async fn stopped() -> Stop {
    let ignored = ignored();
    let wait = async |kind: SignalKind, stop: Stop| {
        let number = u32::try_from(kind.as_raw_value()).unwrap_or_default();
        if ignored >> number.saturating_sub(1) & 1 == 0
            && let Ok(mut signal) = signal(kind)
        {
            signal.recv().await;
            return stop;
        }
        std::future::pending().await
    };
    tokio::select! {
        stop = wait(SignalKind::terminate(), Stop::Terminate) => stop,
        stop = wait(SignalKind::interrupt(), Stop::Interrupt) => stop,
        stop = wait(SignalKind::hangup(), Stop::HangUp) => stop,
    }
}

/// The signals that this process ignores, the lowest bit for number 1, as the kernel tells it; none when it does not.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
