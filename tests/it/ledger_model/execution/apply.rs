//! The transition table, as far as the model needs it: what an end makes of a row.

use super::state::{End, Moment, Row, RowState};

/// Whether work may be begun again when nobody knows its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    AtLeastOnce,
    AtMostOnce,
}

/// The same for all rows.
const MAX_LOSSES: u8 = 3;

impl Delivery {
    /// At-most-once work is not repeated after a failure either.
    fn max_attempts(self) -> u8 {
        match self {
            Self::AtLeastOnce => 2,
            Self::AtMostOnce => 1,
        }
    }

    pub fn claimed(row: &mut Row, session: usize) {
        row.state = RowState::Running;
        row.attempt += 1;
        row.holder = Some(session);
        row.ended = None;
        row.attempts.push(super::state::Attempt::default());
    }

    pub fn ended(self, row: &mut Row, end: End, retry_at: Moment) {
        row.holder = None;
        match end {
            End::Succeeded => row.state = RowState::Completed,
            End::Interrupted => self.returned(row, RowState::Pending, true),
            End::Failed => {
                row.failures += 1;
                row.run_at = retry_at;
                if row.failures < self.max_attempts() {
                    self.returned(row, RowState::Retrying, false);
                } else {
                    row.state = RowState::Failed;
                }
            }
        }
    }

    pub fn released(self, row: &mut Row) {
        row.holder = None;
        self.returned(row, RowState::Pending, false);
    }

    pub fn holder_lost(self, row: &mut Row) {
        row.holder = None;
        row.losses += 1;
        if row.losses < MAX_LOSSES {
            self.returned(row, RowState::Pending, true);
        } else {
            row.state = RowState::Failed;
        }
    }

    /// Back to be claimed again, unless that may not be.
    fn returned(self, row: &mut Row, state: RowState, may_have_begun: bool) {
        row.state = if may_have_begun && self == Self::AtMostOnce {
            RowState::Lost
        } else if row.cancel_requested {
            RowState::Cancelled
        } else {
            state
        };
    }
}
