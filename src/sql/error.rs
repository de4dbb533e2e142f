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

/// Whether the database refused what was to be written, and not that something is written at all: of several rows, the
/// others may be taken. Known of SQLite alone.
pub fn is_of_values(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().is_some() {
        return false;
    }
    let code = error.code();
    let number = code.and_then(|code| code.parse::<u32>().ok());
    // SQLITE_TOOBIG, SQLITE_CONSTRAINT and SQLITE_MISMATCH. Extended codes have the plain one in their lowest byte.
    number.is_some_and(|number| matches!(number & 0xff, 18..=20))
}

/// Whether MySQL refused a change of a table because it is as it should be already.
pub(super) fn is_done_already(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let mysql = error.and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
    // ER_TABLE_EXISTS_ERROR, ER_DUP_FIELDNAME, ER_DUP_KEYNAME, ER_CANT_DROP_FIELD_OR_KEY
    mysql.is_some_and(|error| matches!(error.number(), 1050 | 1060 | 1061 | 1091))
}

/// What a write answered; nothing, when the key of a row exists already.
pub fn unless_taken<T>(written: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match written {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        written => written.map(Some),
    }
}
