//! Rows of a list that cannot be shown: the list has the others, and says which these are.

use serde::Serialize;
use utoipa::ToSchema;

use crate::business::Unreadable;

/// A row that another program wrote in a way that this one cannot read.
#[derive(Serialize, ToSchema)]
pub(super) struct UnreadableReply {
    /// Its id.
    id: String,
    /// What was expected and what was found.
    reason: String,
}

impl UnreadableReply {
    pub(super) fn all(rows: &[Unreadable]) -> Vec<Self> {
        rows.iter().map(|row| Self { id: row.id.clone(), reason: row.reason.clone() }).collect()
    }
}
