//! The connection: its limits, how it comes back, and what its errors may say.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, ScriptInvocation,
    ServerError, ServerErrorKind, Value,
};

use crate::secret::Secret;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The most characters of a server's error that are repeated.
const SHOWN: usize = 160;

/// The server did not do it. The text never holds the URL, nor what was sent.
#[derive(Debug)]
pub(super) struct LinkError(String);

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LinkError {}

/// A connection that all callers share.
pub(super) struct Link {
    client: Client,
    place: String,
    /// With how often it was replaced, so that many callers with the same error replace it once.
    manager: Mutex<(u64, ConnectionManager)>,
}

/// Sends, and once more when there was no connection: a manager without one first tells why the last attempt failed,
/// however long ago that was, and only then makes another. Nothing was sent meanwhile.
macro_rules! sent {
    ($link:expr, $manager:ident => $send:expr) => {{
        let (age, mut $manager) = $link.current();
        let mut answer = $send.await;
        if answer.as_ref().is_err_and(RedisError::is_connection_refusal) {
            answer = $send.await;
        }
        answer.map_err(|error| $link.failed(age, &error))
    }};
}

impl Link {
    pub(super) async fn connect(url: &Secret) -> Result<Self, LinkError> {
        // The parser's own text may repeat a part of the URL, and that part may be the password.
        let unreadable = "the URL of Redis cannot be read; expected redis:// or rediss://, and a password that is percent-encoded";
        let info = url.expose().into_connection_info().map_err(|_| LinkError(unreadable.to_owned()))?;
        let place = info.addr().to_string();
        let failed = |error: RedisError| describe(&place, &error);
        // Several callers share the connection: none waits for the answer to another one's last packet.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(failed)?;
        let manager = ConnectionManager::new_with_config(client.clone(), config()).await.map_err(failed)?;
        Ok(Self { client, place, manager: Mutex::new((0, manager)) })
    }

    /// Where it leads.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// All answers, errors of single commands among them.
    pub(super) async fn answers(&self, pipeline: &Pipeline) -> Result<Vec<Value>, LinkError> {
        sent!(self, manager => manager.req_packed_commands(pipeline, 0, pipeline.len()))
    }

    /// The answers as values; an error of one command is the error of all.
    pub(super) async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LinkError> {
        sent!(self, manager => pipeline.query_async(&mut manager))
    }

    /// Runs a script, which is uploaded if the server does not have it.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LinkError> {
        sent!(self, manager => script.invoke_async(&mut manager))
    }

    /// The error of one of several answers.
    pub(super) fn refused(&self, error: &ServerError) -> LinkError {
        at(&self.place, &server_text(error))
    }

    /// An answer of a form that the command does not have.
    pub(super) fn unexpected(&self) -> LinkError {
        at(&self.place, UNEXPECTED)
    }

    fn current(&self) -> (u64, ConnectionManager) {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, age: u64, error: &RedisError) -> LinkError {
        if worn_out(error) {
            let mut manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner);
            if manager.0 == age
                && let Ok(fresh) = ConnectionManager::new_lazy_with_config(self.client.clone(), config())
            {
                *manager = (age + 1, fresh);
            }
        }
        describe(&self.place, error)
    }
}

fn config() -> ConnectionManagerConfig {
    // One more attempt, then the caller is told: the next command begins anew.
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_number_of_retries(1)
}

/// Whether another connection may be better. The manager replaces one that broke; it keeps one that was refused at its
/// beginning, one whose peer has gone silent, and one whose server has become a replica.
fn worn_out(error: &RedisError) -> bool {
    error.is_timeout()
        || matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed
                | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::ResponseError)
        )
}

const UNEXPECTED: &str = "the answer is not what this command answers";

fn at(place: &str, text: &str) -> LinkError {
    LinkError(format!("Redis at {place}: {text}"))
}

fn describe(place: &str, error: &RedisError) -> LinkError {
    if let Some((_, error)) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
        return at(place, &server_text(error));
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => at(place, "user name or password was refused"),
        ErrorKind::Io => at(place, &error.to_string()),
        // These texts repeat the answer, which may be anything.
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => at(place, UNEXPECTED),
        _ => at(place, error.category()),
    }
}

/// Code and text, without the arguments that some errors repeat.
fn server_text(error: &ServerError) -> String {
    let detail = error.details().unwrap_or_default();
    let detail = detail.split(", with args").next().unwrap_or_default();
    format!("{} {}", error.code(), detail.chars().take(SHOWN).collect::<String>()).trim_end().to_owned()
}
