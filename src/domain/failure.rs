//! Why a program, or a call in one, ends with something other than success.

use super::exit::Exit;

/// A reason to end with something other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How to end.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
