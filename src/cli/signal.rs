//! The signals that end a run.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::domain::exit::Exit;
use crate::domain::outcome::{AtStop, CallOutcome};

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
    pub fn outcome(self) -> fn(AtStop) -> CallOutcome {
        match self {
            Stop::HangUp => CallOutcome::HungUp,
            Stop::Interrupt => CallOutcome::Interrupted,
            Stop::Terminate => CallOutcome::Terminated,
        }
    }

    /// The exit code: 128 and the signal's number.
    pub fn exit(self) -> Exit {
        self.outcome()(AtStop::NothingSent).exit()
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

/// The number of SIGXFSZ on the processors that servers have.
const FILE_TOO_BIG: i32 = 25;

/// Listens for them, from when it is made.
pub struct Signals(Vec<(Stop, Signal)>);

impl Signals {
    /// Listens from now on. A signal that this process was started to ignore stays ignored: `nohup` does that with
    /// SIGHUP, a shell with SIGINT for what it runs in the background. Where a handler cannot be set the default action
    /// remains. Writing past the limit of a file's size becomes an error like any other.
    pub fn listen() -> Self {
        drop(signal(SignalKind::from_raw(FILE_TOO_BIG)));
        let ignored = ignored();
        let heard = |(stop, kind): (Stop, SignalKind)| {
            let number = u32::try_from(kind.as_raw_value()).unwrap_or_default();
            let is_ignored = ignored >> number.saturating_sub(1) & 1 == 1;
            if is_ignored { None } else { Some((stop, signal(kind).ok()?)) }
        };
        let kinds = [
            (Stop::Terminate, SignalKind::terminate()),
            (Stop::Interrupt, SignalKind::interrupt()),
            (Stop::HangUp, SignalKind::hangup()),
        ];
        Self(kinds.into_iter().filter_map(heard).collect())
    }

    /// Waits for the first of them.
    pub async fn stopped(&mut self) -> Stop {
        poll_fn(|context| {
            let mut heard = self
                .0
                .iter_mut()
                .filter_map(|(stop, signal)| signal.poll_recv(context).is_ready().then_some(*stop));
            heard.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Waits for the first of them that comes from now on.
pub async fn stopped() -> Stop {
    Signals::listen().stopped().await
}

/// The signals that this process ignores, the lowest bit for number 1, as the kernel tells it; none when it does not.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
