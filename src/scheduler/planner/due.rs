//! Which task is due next: a tick looks at those that are, and at no others.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::scheduler::catalog::View;
use crate::store::scheduler::Known;

/// The next occurrence of every task after the watermark.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Of which catalog, and after which watermark.
    of: Option<(i64, Timestamp)>,
    next: BTreeSet<(Timestamp, i64)>,
}

impl Due {
    /// Whether nothing is known.
    pub(super) fn is_new(&self) -> bool {
        self.of.is_none()
    }

    /// Whether it is of this catalog and watermark.
    pub(super) fn is_of(&self, catalog: i64, watermark: Timestamp) -> bool {
        self.of == Some((catalog, watermark))
    }

    /// Somebody else has planned or changed something.
    pub(super) fn forget(&mut self) {
        self.of = None;
        self.next.clear();
    }

    /// Looks at every task.
    pub(super) fn fill(&mut self, view: &View, watermark: Timestamp) {
        self.of = Some((view.number, watermark));
        let next = |known: &Known| Some((next_of(known, watermark)?, known.task.id));
        self.next = view.tasks.values().filter_map(next).collect();
    }

    /// When the next one is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.next.first().map(|(at, _)| *at)
    }

    /// The tasks with an occurrence up to this instant.
    pub(super) fn tasks_through(&self, through: Timestamp) -> impl Iterator<Item = i64> + '_ {
        self.next.iter().take_while(move |(at, _)| *at <= through).map(|(_, task)| *task)
    }

    /// The watermark has moved: what was due up to it is due later now.
    pub(super) fn advance(&mut self, view: &View, watermark: Timestamp) {
        let passed: Vec<(Timestamp, i64)> =
            self.next.iter().take_while(|(at, _)| *at <= watermark).copied().collect();
        for one in passed {
            self.next.remove(&one);
            let known = view.tasks.get(&one.1);
            if let Some(at) = known.and_then(|known| next_of(known, watermark)) {
                self.next.insert((at, one.1));
            }
        }
        self.of = Some((view.number, watermark));
    }
}

/// The first occurrence of a task after an instant, by whichever of its revisions governs it.
pub(super) fn next_of(known: &Known, after: Timestamp) -> Option<Timestamp> {
    known
        .revisions
        .iter()
        .filter(|revision| !revision.paused && revision.valid_to.is_none_or(|to| to > after))
        .filter_map(|revision| {
            let schedule = revision.definition.schedule.as_ref()?;
            let next = schedule.next_after(after.max(revision.valid_from))?.at;
            revision.governs(next).then_some(next)
        })
        .min()
}
