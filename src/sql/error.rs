//! What an error of a database means for whoever asked.

/// Whether the database preferred another transaction: nothing was changed, and a repeat may succeed.
pub fn is_contended(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_CHECKREAD of MariaDB's snapshots
        return matches!(mysql.number(), 1205 | 1213 | 1020);
    }
    // SQLITE_BUSY in its three forms
    matches!(error.code().as_deref(), Some("5" | "261" | "517"))
}

/// What a write answered; nothing, when the key of a row exists already.
pub fn unless_taken<T>(written: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match written {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        written => written.map(Some),
    }
}
