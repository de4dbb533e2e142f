//! The searches of this model.

use super::Restore;
use super::properties as p;
use crate::ledger_model::check::{breaks, full, holds};
use crate::ledger_model::guards::Guard;

#[test]
fn restores() {
    for at_most_once in [false, true] {
        let model = Restore::once(at_most_once);
        let model = if full() { Restore { last: 3, restores: 2, failures: 2, ..model } } else { model };
        holds(&format!("restore, at most once: {at_most_once}"), model);
    }
}

#[test]
fn without_attempt_base() {
    let model = Restore::once(false).without(Guard::AttemptBase);
    breaks(model.clone(), p::ONE_START_AN_ATTEMPT);
    breaks(model, p::NO_STRANGER);
}

#[test]
fn with_a_base_that_is_restored_too() {
    let model = Restore { restores: 2, ..Restore::once(false) };
    breaks(model.without(Guard::BaseFromClock), p::ONE_START_AN_ATTEMPT);
}

#[test]
fn without_lost_after_a_restore() {
    breaks(Restore::once(true).without(Guard::LostAfterRestore), p::AT_MOST_ONCE);
}
