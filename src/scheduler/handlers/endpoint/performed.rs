//! What a call came to, as the engine records it.
//!
//! | call | exit | performed | again |
//! |---|---|---|---|
//! | success, accepted | 0 | done | |
//! | success or accepted, but not everything could be written | 74 | done | |
//! | the last run of the line holds the lock (`skip`, `fail`, `sequential`) | 0, 75, none | busy | the task's policy |
//! | another line of the same name holds it (`skip`, `fail`) | 75 | failed | by policy |
//! | try later | 75 | failed | after the server's `Retry-After`, else by policy |
//! | failed with 4xx, 501 or 505 | 1 | failed | never: the same request gets the same answer |
//! | failed otherwise | 1 | failed | after the server's `Retry-After`, else by policy |
//! | protocol | 76 | failed | by policy when the request may be repeated, else never: it may have been done |
//! | not accepted: login, token, account | 77 | failed | never: the account would be locked |
//! | the line or the configuration is wrong, a defect | 64, 78, 70 | failed | never |
//! | a file is missing or cannot be written | 66, 73, 74 | failed | by policy |
//! | stopped before anything left | 130, 143, 75 | stopped | |
//! | stopped after that | 130, 143, 124 | unknown | |
//! | no whole answer | 124 | unknown | |

use crate::crontab::CallIdentity;
use crate::domain::exit::Exit;
use crate::domain::failure::Failure;
use crate::domain::outcome::{CallOutcome, CallReport, CallStatus};
use crate::domain::overlap::Overlap;
use crate::journal::line::truncate;
use crate::journal::overlap::{Claim, Holder};
use crate::native_call::{Ended, StoppedBy, exit_and_message};
use crate::scheduler::handler::{Again, End, Performed};

/// Longest message, in bytes, as in the record of a run.
const LONGEST_MESSAGE: usize = 1000;

/// How a call ended, and the exit code that the command line would end with.
pub(super) fn performed(
    ended: &Ended,
    trouble: &[String],
    is_busy: bool,
    is_idempotent: bool,
) -> (Exit, Performed) {
    let report = &ended.report;
    let (exit, message) = exit_and_message(report, trouble);
    let end = end(report.outcome.status(), &message, Some(exit));
    let performed = match report.outcome.status() {
        CallStatus::Success | CallStatus::Accepted => Performed::Done(end),
        CallStatus::Unknown => Performed::Unknown(end),
        _ if ended.is_stopped() => Performed::Stopped(end),
        _ if is_busy => Performed::Busy(end),
        _ => Performed::Failed(end, again(report, is_idempotent)),
    };
    (exit, performed)
}

/// Whether it makes sense to try again what failed.
fn again(report: &CallReport, is_idempotent: bool) -> Again {
    let in_time = report.retry_after.map_or(Again::ByPolicy, Again::After);
    match report.outcome {
        CallOutcome::Failed if matches!(report.http_status, Some(400..=499 | 501 | 505)) => Again::Never,
        CallOutcome::Failed | CallOutcome::TryLater => in_time,
        CallOutcome::Protocol if is_idempotent => Again::ByPolicy,
        other => of_exit(other.exit()),
    }
}

/// Whether it makes sense to try again what ended so before anything was sent.
fn of_exit(exit: Exit) -> Again {
    match exit {
        Exit::NoInput | Exit::CannotCreate | Exit::Io => Again::ByPolicy,
        _ => Again::Never,
    }
}

/// A call that could not even be recorded in its journal.
pub(super) fn refused(failure: Failure) -> Performed {
    let Failure { exit, message, hint } = failure;
    let message = hint.map_or_else(|| message.clone(), |hint| format!("{message} (hint: {hint})"));
    Performed::Failed(end(CallStatus::Failed, &message, Some(exit)), of_exit(exit))
}

/// A call that was stopped before its journal was open.
pub(super) fn stopped_before(by: StoppedBy) -> Performed {
    let report = by.report(false);
    Performed::Stopped(end(report.outcome.status(), &report.message, Some(report.outcome.exit())))
}

/// A call that waits for the last run of its task.
pub(super) fn busy_again(mine: &CallIdentity, who: Option<&Holder>) -> Performed {
    let report = Claim::busy(Overlap::Skip, mine, who);
    Performed::Busy(end(CallStatus::Skipped, &report.message, None))
}

fn end(status: CallStatus, message: &str, exit: Option<Exit>) -> End {
    End {
        outcome: status.as_str().to_owned(),
        message: truncate(message, LONGEST_MESSAGE).to_owned(),
        exit: exit.map(Exit::code),
    }
}
