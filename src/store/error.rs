//! What a verb of a store answers when it did nothing.

use std::error::Error;
use std::future::Future;

use crate::sql::{MigrationError, Trouble, is_contended, outage, trouble};

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
    /// Nothing can be asked of the database now: it is down, does not let us in, or is too busy.
    #[error("{verb}: {source}")]
    Unreachable {
        /// The verb.
        verb: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database answers and takes no writes: its disk is full, or it is read-only.
    #[error("{verb}: {source}")]
    NotWritable {
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

impl StoreError {
    /// Whether it is no matter of what was asked: the same may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotWritable { .. } | Self::Contended { .. })
    }

    /// The error of a verb for which the database said this.
    pub(super) fn of(verb: &'static str, error: sqlx::Error) -> Self {
        match (trouble(&error), error) {
            (Some(Trouble::Unreachable), error) => {
                let source = outage(error).map_or_else(Box::from, Box::from);
                Self::Unreachable { verb, source }
            }
            (Some(Trouble::NotWritable), error) => Self::NotWritable { verb, source: Box::new(error) },
            (None, sqlx::Error::Decode(found)) => Self::Corrupt { verb, found: found.to_string() },
            (None, error) if is_contended(&error) => Self::Contended { verb, source: Box::new(error) },
            (None, error) => Self::Database { verb, source: Box::new(error) },
        }
    }

    /// The same for the schema.
    pub(super) fn of_schema(verb: &'static str, error: MigrationError) -> Self {
        match error {
            MigrationError::Database(error) => Self::of(verb, error),
            error => Self::Database { verb, source: Box::new(error) },
        }
    }
}

/// What a verb answers.
pub type Answer<T> = Result<T, StoreError>;

/// Does the work of a verb on a database; its errors name the verb.
pub(super) async fn named<T>(
    verb: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Answer<T> {
    work.await.map_err(|error| StoreError::of(verb, error))
}
