//! L1 · One Redis: connections, pipelines and scripts, and what its errors may say.
//!
//! Whoever uses a [`Link`] does not see how many servers stand behind the URL. `address` is the one place that does.

mod address;
mod error;

use std::sync::{Mutex, PoisonError};

use redis::{FromRedisValue, Pipeline, RedisResult, ScriptInvocation, ServerError, Value};
use tokio::time::timeout;

use self::address::{Address, Connection};
pub use self::error::LinkError;
use self::error::describe;
use crate::clock::patience::patience;
use crate::secret::Secret;

/// A connection that all callers share.
pub struct Link {
    address: Address,
    /// With how often it was replaced, so that many callers with the same error replace it once.
    connection: Mutex<(u64, Connection)>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// When the URL is none of Redis, or nothing answers there.
    pub async fn connect(url: &Secret) -> Result<Self, LinkError> {
        let address = Address::read(url)?;
        let connection = address.connect().await.map_err(|error| describe(address.place(), &error))?;
        Ok(Self { address, connection: Mutex::new((0, connection)) })
    }

    /// Where it leads.
    pub fn place(&self) -> &str {
        self.address.place()
    }

    /// All answers, errors of single commands among them.
    pub async fn answers(&self, pipeline: &Pipeline) -> Result<Vec<Value>, LinkError> {
        self.send(|mut to| async move { address::answers(&mut to, pipeline).await }).await
    }

    /// The answers as values; an error of one command is the error of all.
    pub async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, LinkError> {
        self.send(|mut to| async move { pipeline.query_async(&mut to).await }).await
    }

    /// Runs a script, which is uploaded if the server does not have it.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, LinkError> {
        self.send(|mut to| async move { script.invoke_async(&mut to).await }).await
    }

    /// The error of one of several answers.
    pub fn refused(&self, error: &ServerError) -> LinkError {
        LinkError::said(self.place(), error)
    }

    /// An answer of a form that the command does not have.
    pub fn unexpected(&self) -> LinkError {
        LinkError::unexpected(self.place())
    }

    /// Sends, and once more when there was no connection: servers, firewalls and load balancers cut those that were idle,
    /// and nobody hears of it before the next command. So what is sent here must be worth repeating: whether a command
    /// was done whose connection broke is not known.
    async fn send<T, F>(&self, send: impl Fn(Connection) -> F) -> Result<T, LinkError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (age, connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let exchange = async {
            let answer = send(connection.clone()).await;
            let lost = answer.as_ref().is_err_and(address::is_cut);
            if lost { send(connection).await } else { answer }
        };
        let patience = patience();
        match timeout(patience, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if address::worn_out(&error) {
                    self.replace(age);
                }
                Err(describe(self.place(), &error))
            }
            Err(_) => {
                // A peer that has gone silent never answers on this connection again.
                self.replace(age);
                Err(LinkError::unreachable(self.place(), format!("no answer within {patience:?}")))
            }
        }
    }

    /// Makes another connection, once for all callers that had this one.
    fn replace(&self, age: u64) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.0 == age
            && let Ok(fresh) = self.address.connect_lazily()
        {
            *connection = (age + 1, fresh);
        }
    }
}
