//! What a verb of a store answers when it did nothing.

use std::error::Error;
use std::future::Future;

use crate::sql::is_contended;

/// Why a verb did nothing. A verb that fails has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not do it.
    #[error("{verb}: {source}")]
    Database {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another transaction was preferred: a deadlock, or a lock that was not given up in time. A repeat may succeed.
    #[error("{verb}: {source}")]
    Contended {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A row holds what this program never writes.
    #[error("{verb}: unreadable row: {found}")]
    Corrupt {
        /// The verb.
        verb: &'static str,
        /// What was found.
        found: String,
    },
}

/// What a verb answers.
pub type Answer<T> = Result<T, StoreError>;

/// Does the work of a verb on a database; its errors name the verb.
pub(super) async fn named<T>(
    verb: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Answer<T> {
    work.await.map_err(|error| match error {
        sqlx::Error::Decode(found) => StoreError::Corrupt { verb, found: found.to_string() },
        error if is_contended(&error) => StoreError::Contended { verb, source: Box::new(error) },
        error => StoreError::Database { verb, source: Box::new(error) },
    })
}
