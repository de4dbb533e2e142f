//! The verbs that the writer knows, and the order in which a group does them.

use jiff::Timestamp;

use crate::domain::execution::SessionId;
use crate::sql::Tx;
use crate::store::scheduler::{Change, Changed, ClaimOrder, Claimed, PlanStep, Planned, SessionRow};

use super::{changes, claims, plans, sessions};

/// Something that a session wants done.
#[derive(Debug)]
pub(super) enum Verb {
    Beat,
    EndSession,
    DeclareDead(SessionRow),
    Plan(Box<PlanStep>),
    Change(Box<Change>),
    Claim(ClaimOrder),
    Prune { before: Timestamp, most: u32 },
}

/// What a verb did.
#[derive(Debug)]
pub(super) enum Did {
    Nothing,
    Declared(bool),
    Planned(Planned),
    Changed(Changed),
    Claimed(Vec<Claimed>),
    Pruned(u64),
}

impl Verb {
    /// Its name in errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::EndSession => "end_session",
            Self::DeclareDead(_) => "declare_dead",
            Self::Plan(_) => "plan",
            Self::Change(_) => "change",
            Self::Claim(_) => "claim",
            Self::Prune { .. } => "prune",
        }
    }

    /// Its place in a group: locks are taken in one order, and seats are given back before they are taken.
    pub(super) fn place(&self) -> u8 {
        match self {
            Self::Beat => 0,
            Self::DeclareDead(_) => 1,
            Self::Plan(_) => 2,
            Self::Change(_) => 3,
            Self::Claim(_) => 4,
            Self::Prune { .. } => 5,
            Self::EndSession => 6,
        }
    }

    /// Does verbs of one kind.
    pub(super) async fn run(
        tx: &mut Tx,
        session: SessionId,
        verbs: &[&Self],
    ) -> Result<Vec<Did>, sqlx::Error> {
        let mut done = Vec::with_capacity(verbs.len());
        let changes: Vec<&Change> = verbs
            .iter()
            .filter_map(|verb| match verb {
                Self::Change(change) => Some(&**change),
                _ => None,
            })
            .collect();
        if !changes.is_empty() {
            done.extend(changes::change(tx, &changes).await?.into_iter().map(Did::Changed));
            return Ok(done);
        }
        for verb in verbs {
            done.push(match verb {
                Self::Beat | Self::Change(_) => Did::Nothing,
                Self::EndSession => sessions::end(tx, session).await.map(|()| Did::Nothing)?,
                Self::DeclareDead(other) => Did::Declared(sessions::declare_dead(tx, other).await?),
                Self::Plan(step) => Did::Planned(plans::plan(tx, step).await?),
                Self::Claim(order) => Did::Claimed(claims::claim(tx, session, order).await?),
                Self::Prune { before, most } => Did::Pruned(changes::prune(tx, *before, *most).await?),
            });
        }
        Ok(done)
    }
}
