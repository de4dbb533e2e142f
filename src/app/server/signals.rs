//! The signals that end a server: the first one in order, the second one at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::stop;
use crate::cli::output::Failure;
use crate::cli::signal::Stop;
use crate::domain::exit::Exit;

/// The signals that ask for an end.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let failed = |error| stop(Exit::Internal, format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// Why a server ends that was told a second time.
pub(super) fn at_once(second: Stop) -> Failure {
    let message =
        format!("ended at once by a second signal, {}: requests and syncs were cut off", second.name());
    stop(second.exit(), message)
}
