//! Why Redis did not do something. The text never holds the URL, nor what was sent.

use redis::{ErrorKind, RedisError, ServerError};

/// The most characters of a server's error that are repeated.
const SHOWN: usize = 160;

/// It was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The URL is none of Redis.
    #[error(
        "the URL of Redis cannot be read; expected redis:// or rediss://, and a password that is percent-encoded"
    )]
    Url,
    /// The server refused, did not answer, or answered something else.
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

    pub(super) fn unexpected(place: &str) -> Self {
        Self::at(place, "the answer is not what this command answers")
    }
}

pub(super) fn describe(place: &str, error: &RedisError) -> LinkError {
    if let Some((_, error)) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
        return LinkError::at(place, server_text(error));
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => LinkError::at(place, "user name or password was refused"),
        ErrorKind::Io => LinkError::at(place, error.to_string()),
        // These texts repeat the answer, which may be anything.
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => LinkError::unexpected(place),
        _ => LinkError::at(place, error.category()),
    }
}

/// Code and text, without the arguments that some errors repeat.
pub(super) fn server_text(error: &ServerError) -> String {
    let detail = error.details().unwrap_or_default();
    let detail = detail.split(", with args").next().unwrap_or_default();
    format!("{} {}", error.code(), detail.chars().take(SHOWN).collect::<String>()).trim_end().to_owned()
}
