//! The signals of a server: the first one that asks for an end ends it in order, the second one at once; those that ask for
//! nothing here do nothing.

use tokio::signal::unix::{SignalKind, signal};

use crate::app::stop;
use crate::cli::output::Failure;
use crate::cli::signal::{self, Stop};

/// Signals that end a process which does not know them, and that have no meaning here: a supervisor of other programs
/// may send them. By the numbers of the processors that servers have: SIGALRM, SIGSTKFLT, SIGVTALRM, SIGPROF, SIGIO and
/// SIGPWR, beside the two for users. SIGPIPE is ignored by the standard library, SIGXFSZ by `cli::signal`. SIGQUIT stays
/// what it is: an end at once, with a core.
const MEANINGLESS: [i32; 8] = [10, 12, 14, 16, 26, 27, 29, 30];

/// The signals that ask for an end: SIGTERM, SIGINT, and SIGHUP, since a terminal that is closed is no reason to cut
/// requests off. One that the process was started to ignore stays ignored.
pub(super) struct Signals(signal::Signals);

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Self {
        for number in MEANINGLESS {
            // A handler that nobody listens to takes the place of the default action for good. Where the system has no
            // such signal there is nothing to ignore.
            drop(signal(SignalKind::from_raw(number)));
        }
        Self(signal::Signals::listen())
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Stop {
        self.0.stopped().await
    }
}

/// Why a server ends that was told a second time.
pub(super) fn at_once(second: Stop) -> Failure {
    let message =
        format!("ended at once by a second signal, {}: requests and syncs were cut off", second.name());
    stop(second.exit(), message)
}
