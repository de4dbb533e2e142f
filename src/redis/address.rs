//! Where Redis is, and the connection to it: the one place that knows that this is a single server.
//!
//! Whoever adds Sentinel or Cluster reads another form of the URL in [`Address::read`] and makes [`Connection`] an enum
//! that implements `ConnectionLike`; everything above stays as it is.

use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};

use super::error::{LinkError, describe};
use crate::secret::Secret;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection that can be cloned, and that comes back by itself.
pub(super) type Connection = ConnectionManager;

/// Where Redis is.
pub(super) struct Address {
    client: Client,
    place: String,
}

impl Address {
    pub(super) fn read(url: &Secret) -> Result<Self, LinkError> {
        // The parser's own text may repeat a part of the URL, and that part may be the password.
        let info = url.expose().into_connection_info().map_err(|_| LinkError::Url)?;
        let place = info.addr().to_string();
        // Several callers share the connection: none waits for the answer to another one's last packet.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|error| describe(&place, &error))?;
        Ok(Self { client, place })
    }

    /// What may be shown of it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        ConnectionManager::new_with_config(self.client.clone(), config()).await
    }

    /// A connection that is made when something is sent.
    pub(super) fn connect_lazily(&self) -> RedisResult<Connection> {
        ConnectionManager::new_lazy_with_config(self.client.clone(), config())
    }
}

/// All answers, errors of single commands among them.
pub(super) async fn answers(connection: &mut Connection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    connection.req_packed_commands(pipeline, 0, pipeline.len()).await
}

/// Whether there was no connection, or it ended: the manager makes another one.
pub(super) fn is_cut(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_connection_refusal())
}

/// Whether another connection may be better. The manager replaces one that broke; it keeps one that was refused at its
/// beginning, one whose peer has gone silent, and one whose server has become a replica.
pub(super) fn worn_out(error: &RedisError) -> bool {
    error.is_timeout()
        || matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed
                | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::ResponseError)
        )
}

fn config() -> ConnectionManagerConfig {
    // One more attempt, then the caller is told: the next command begins anew.
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_number_of_retries(1)
}
