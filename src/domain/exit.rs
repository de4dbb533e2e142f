//! The published exit codes: one table for the program, its help, `explain`, the logs and the renderers.
//!
//! Numbers from 64 to 78 keep the meaning of BSD's `sysexits.h`; 124 is what `timeout(1)` uses for "no answer in
//! time"; 128+n is a signal. They are stable: a number never changes its meaning.

use serde::Serialize;

use super::word::words;

words! {
    /// How a run of the program ended.
    pub enum Exit: "exit" {
        /// The call succeeded, was accepted, or was skipped because the last one still runs.
        Ok = "ok",
        /// The server answered, and its answer is no.
        Failed = "failed",
        /// The command line is wrong.
        Usage = "usage",
        /// A file that must be there is not: credentials, configuration, request body.
        NoInput = "no_input",
        /// A defect of this program.
        Internal = "internal",
        /// The log, the state directory or the file of the reply cannot be created, locked or written.
        CannotCreate = "cannot_create",
        /// Reading or writing failed on the way.
        Io = "io",
        /// The same call may succeed later; it was not done, unless it is an idempotent one whose answer was lost.
        TryLater = "try_later",
        /// The answer is not what the protocol promises.
        Protocol = "protocol",
        /// The credentials or the token are not accepted.
        Auth = "auth",
        /// The configuration is wrong or unsafe.
        Config = "config",
        /// The request was sent and no whole answer came back: it may or may not have been done.
        Unknown = "unknown",
        /// Stopped by SIGHUP.
        HungUp = "hung_up",
        /// Stopped by SIGINT.
        Interrupted = "interrupted",
        /// Stopped by SIGTERM.
        Terminated = "terminated",
    }
}

/// One row of the published table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExitInfo {
    /// The number that the process returns.
    pub code: u8,
    /// The stable name, as in `exit_name`.
    pub name: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

impl Exit {
    /// The row of the table.
    pub fn info(self) -> ExitInfo {
        let (code, meaning, advice) = match self {
            Exit::Ok => (
                0,
                "the call succeeded, was accepted (202), or was skipped because the last one still runs",
                "nothing to do; `qs-api-call status` tells the three apart",
            ),
            Exit::Failed => (
                1,
                "the server answered and its answer is no: 4xx, 500, 501, 505, or an envelope with a failing code",
                "read the message in the log; the endpoint or its input needs attention",
            ),
            Exit::Usage => (64, "the command line is wrong", "see `qs-api-call --help`"),
            Exit::NoInput => (
                66,
                "a file that must be there is not: credentials, configuration or request body",
                "create the file that the message names, or correct its path",
            ),
            Exit::Internal => (70, "a defect of this program", "please report it with the log line"),
            Exit::CannotCreate => (
                73,
                "the log, the state directory or the file of --output cannot be created, locked or written; nothing was sent",
                "create the directory that the message names, or choose another with --state-dir, --output or the log argument",
            ),
            Exit::Io => (
                74,
                "reading or writing failed on the way, for example because the disk is full",
                "free space or repair the file that the message names",
            ),
            Exit::TryLater => (
                75,
                "the same call may succeed later: never sent, 408, 409 in progress, 423, 425, 429, 502, 503, 504, IAM down, lock not free; an idempotent call whose answer was lost may have been done",
                "let the next run do it, or raise --retries and --timeout",
            ),
            Exit::Protocol => (
                76,
                "the answer is not what was promised: a redirect, HTML, broken JSON, a login without a token, no HTTP at all",
                "check the base URL and whatever stands between here and the server",
            ),
            Exit::Auth => (
                77,
                "not accepted: login rejected or locked, 401 after a fresh token, 403",
                "check the account and its roles; after a change run `qs-api-call token refresh`, with --force-login if the credential is the same",
            ),
            Exit::Config => (
                78,
                "the configuration is wrong or unsafe, or the server wants a client certificate; nothing was done",
                "correct the key that the message names; `qs-api-call check` shows the whole picture",
            ),
            Exit::Unknown => (
                124,
                "the request was sent and no whole answer came back: it may or may not have been done",
                "look at the server before repeating it; an idempotent call may carry --idempotent",
            ),
            Exit::HungUp => {
                (129, "stopped by SIGHUP: the terminal or the session is gone", "run it again, with nohup")
            }
            Exit::Interrupted => (130, "stopped by SIGINT", "run it again"),
            Exit::Terminated => (143, "stopped by SIGTERM", "run it again"),
        };
        ExitInfo { code, name: self.as_str(), meaning, advice }
    }

    /// The number that the process returns.
    pub fn code(self) -> u8 {
        self.info().code
    }

    /// The way to end that has this number.
    pub fn from_code(code: u8) -> Option<Exit> {
        Self::ALL.iter().copied().find(|exit| exit.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_numbers_do_not_move() {
        let table: Vec<(u8, &str)> = Exit::ALL.iter().map(|exit| (exit.code(), exit.as_str())).collect();
        assert_eq!(
            table,
            [
                (0, "ok"),
                (1, "failed"),
                (64, "usage"),
                (66, "no_input"),
                (70, "internal"),
                (73, "cannot_create"),
                (74, "io"),
                (75, "try_later"),
                (76, "protocol"),
                (77, "auth"),
                (78, "config"),
                (124, "unknown"),
                (129, "hung_up"),
                (130, "interrupted"),
                (143, "terminated"),
            ]
        );
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(*exit));
        }
        assert_eq!(Exit::from_code(2), None);
    }
}
