//! The signals that end a run.

use tokio::signal::unix::{SignalKind, signal};

use crate::domain::exit::Exit;
use crate::domain::outcome::CallOutcome;

/// Which signal it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, from a keyboard.
    Interrupt,
    /// SIGTERM, from a supervisor.
    Terminate,
}

impl Stop {
    /// What a call comes to that is stopped by it.
    pub fn outcome(self) -> CallOutcome {
        match self {
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
            Stop::Interrupt => "SIGINT",
            Stop::Terminate => "SIGTERM",
        }
    }
}

/// Waits for the first of them. Where handlers cannot be set the default action of the signal remains.
pub async fn stopped() -> Stop {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => Stop::Terminate,
            _ = interrupt.recv() => Stop::Interrupt,
        },
        _ => std::future::pending().await,
    }
}
