//! What a call came to: its outcome, with one exit code and one word each, and the report that its log line, record,
//! metrics and output are made of.

use std::fmt;
use std::time::Duration;

use super::exit::Exit;
use super::word::words;

/// How a call ended. Each has one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The server did it and says so.
    Success,
    /// The server took it on (202) and has not done it yet.
    Accepted,
    /// It was not made, because the previous run of the task is still going.
    Skipped,
    /// The server's answer is no.
    Failed,
    /// Later it may work; it was not done, unless it is a repeatable call whose answer was lost.
    TryLater,
    /// The answer is not what the protocol promises.
    Protocol,
    /// The token or the account is not accepted.
    Unauthenticated,
    /// The request left and no whole answer came back.
    Unknown,
    /// The line of the call is wrong; nothing was sent.
    Usage,
    /// The configuration does not allow a call; nothing was sent.
    Misconfigured,
    /// A file that must be there is not; nothing was sent.
    NoInput,
    /// A file that the call would write cannot be created; nothing was sent.
    CannotCreate,
    /// Reading or writing failed; nothing was sent.
    Io,
    /// A defect of this program; nothing was sent.
    Internal,
    /// Stopped by SIGHUP.
    HungUp(AtStop),
    /// Stopped by SIGINT.
    Interrupted(AtStop),
    /// Stopped by SIGTERM.
    Terminated(AtStop),
}

/// How far a call was when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// No byte of a request had left.
    NothingSent,
    /// A request had left: what it asks for may have been done.
    Sent,
}

impl CallOutcome {
    /// The exit code.
    pub fn exit(self) -> Exit {
        match self {
            Self::Success | Self::Accepted | Self::Skipped => Exit::Ok,
            Self::Failed => Exit::Failed,
            Self::TryLater => Exit::TryLater,
            Self::Protocol => Exit::Protocol,
            Self::Unauthenticated => Exit::Auth,
            Self::Unknown => Exit::Unknown,
            Self::Usage => Exit::Usage,
            Self::Misconfigured => Exit::Config,
            Self::NoInput => Exit::NoInput,
            Self::CannotCreate => Exit::CannotCreate,
            Self::Io => Exit::Io,
            Self::Internal => Exit::Internal,
            Self::HungUp(_) => Exit::HungUp,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Terminated(_) => Exit::Terminated,
        }
    }

    /// The word in logs, records and `--json`.
    pub fn status(self) -> CallStatus {
        match self {
            Self::Success => CallStatus::Success,
            Self::Accepted => CallStatus::Accepted,
            Self::Skipped => CallStatus::Skipped,
            Self::Unknown
            | Self::HungUp(AtStop::Sent)
            | Self::Interrupted(AtStop::Sent)
            | Self::Terminated(AtStop::Sent) => CallStatus::Unknown,
            _ => CallStatus::Failed,
        }
    }
}

words! {
    /// What a run of a task counts as.
    pub enum CallStatus: "status" {
        /// Done.
        Success = "success",
        /// Taken on by the server.
        Accepted = "accepted",
        /// Not made, because the previous run was still going.
        Skipped = "skipped",
        /// Not done.
        Failed = "failed",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

words! {
    /// Where a token came from in a call.
    pub enum TokenSource: "token source" {
        /// The token file.
        File = "file",
        /// A login by this process.
        Login = "login",
    }
}

/// Bytes as a server sent them. They may repeat a secret, so they show nothing of themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Received(pub Vec<u8>);

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// What a call came to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    /// The outcome.
    pub outcome: CallOutcome,
    /// HTTP status of the last response.
    pub http_status: Option<u16>,
    /// Envelope code of the last response.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// Requests that were made to the endpoint.
    pub attempts: u32,
    /// Where the last token came from.
    pub token_source: Option<TokenSource>,
    /// Body of the last response, without secrets.
    pub body: Option<String>,
    /// Body of the last response byte for byte, where the caller wants it for a file.
    pub received: Option<Received>,
    /// Where the last response points to.
    pub location: Option<String>,
    /// How long the server asks to wait before the next request.
    pub retry_after: Option<Duration>,
    /// How long it took, without jitter.
    pub duration: Duration,
}

impl CallReport {
    /// The report of a call that made no request, or was stopped in one.
    pub fn without_reply(outcome: CallOutcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            http_status: None,
            code: None,
            message: message.into(),
            attempts: 0,
            token_source: None,
            body: None,
            received: None,
            location: None,
            retry_after: None,
            duration: Duration::ZERO,
        }
    }
}
