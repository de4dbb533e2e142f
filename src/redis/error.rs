//! Why Redis did not do something. The text never holds the URL, nor what was sent.

use redis::{ErrorKind, RedisError, ServerError};

/// The most characters of a server's error that are repeated.
const SHOWN: usize = 160;

/// The codes by which a server says that it takes no writes: no memory is left, it is a replica, its disk failed, too few
/// replicas follow.
const NO_WRITES: [&str; 4] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS"];

/// The codes by which a server says that it does not work for us now: it begins, its master is gone, it runs a script, our
/// password is not its own any more.
const NO_WORK: [&str; 6] = ["LOADING", "MASTERDOWN", "BUSY", "NOAUTH", "WRONGPASS", "NOPERM"];

/// It was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The URL is none of Redis.
    #[error(
        "the URL of Redis cannot be read; expected redis:// or rediss://, and a password that is percent-encoded"
    )]
    Url,
    /// Nothing can be asked of the server now: it is down, does not answer in time, or does not let us in.
    #[error("Redis at {place}: {reason}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        reason: String,
    },
    /// The server answers and takes no writes.
    #[error("Redis at {place}: {reason}")]
    NotWritable {
        /// Host and port.
        place: String,
        /// Why.
        reason: String,
    },
    /// The server refused what was asked, or answered something else.
    #[error("Redis at {place}: {reason}")]
    Server {
        /// Host and port.
        place: String,
        /// Why.
        reason: String,
    },
}

impl LinkError {
    pub(super) fn at(place: &str, reason: impl Into<String>) -> Self {
        Self::Server { place: place.to_owned(), reason: reason.into() }
    }

    pub(super) fn unreachable(place: &str, reason: impl Into<String>) -> Self {
        Self::Unreachable { place: place.to_owned(), reason: reason.into() }
    }

    /// What a server has said.
    pub(super) fn said(place: &str, error: &ServerError) -> Self {
        let (place, reason) = (place.to_owned(), server_text(error));
        match error.code() {
            code if NO_WRITES.contains(&code) => Self::NotWritable { place, reason },
            code if NO_WORK.contains(&code) => Self::Unreachable { place, reason },
            _ => Self::Server { place, reason },
        }
    }

    pub(super) fn unexpected(place: &str) -> Self {
        Self::at(place, "the answer is not what this command answers")
    }
}

pub(super) fn describe(place: &str, error: &RedisError) -> LinkError {
    if let Some((_, error)) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
        return LinkError::said(place, error);
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => LinkError::unreachable(place, "user name or password was refused"),
        ErrorKind::Io => LinkError::unreachable(place, error.to_string()),
        // These texts repeat the answer, which may be anything.
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => LinkError::unexpected(place),
        _ => LinkError::at(place, error.category()),
    }
}

/// Code and text, without the arguments that some errors repeat.
fn server_text(error: &ServerError) -> String {
    let detail = error.details().unwrap_or_default();
    let detail = detail.split(", with args").next().unwrap_or_default();
    format!("{} {}", error.code(), detail.chars().take(SHOWN).collect::<String>()).trim_end().to_owned()
}
