//! What is wrong with a cron expression: where, what was found, what was expected, and how to put it right.

use std::ops::Range;

use thiserror::Error;

use super::Field;

/// The class of a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CronErrorKind {
    /// There are too few fields, or too many.
    FieldCount,
    /// A field cannot be read.
    Field,
    /// A field is read by cron, but not as it is written: what follows is skipped, or a range is empty.
    Misread,
    /// The nickname is unknown.
    Nickname,
    /// Every field is right and no day ever matches all of them.
    NeverFires,
}

/// A mistake in a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}found {found}, expected {expected}", .field.map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct CronError {
    /// Its class.
    pub kind: CronErrorKind,
    /// The field that it is in, if it is in one.
    pub field: Option<Field>,
    /// Where it is in the expression, in bytes.
    pub at: Range<usize>,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
    /// What to write instead.
    pub fix: String,
}
