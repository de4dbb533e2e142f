//! The searches of this model.

use super::properties as p;
use super::{Kind, Left, Slots};
use crate::ledger_model::check::{breaks, full, holds};
use crate::ledger_model::guards::Guard;

const BOTH: [Kind; 2] = [Kind::Overlap, Kind::Concurrency];

#[test]
fn one_seat() {
    for kind in BOTH {
        let model = Slots::one_seat(kind);
        let left = Left { failures: 2, losses: 2, cancels: 2, retries: 2 };
        holds(&format!("one seat, {kind:?}"), if full() { Slots { rows: 3, left, ..model } } else { model });
    }
}

#[test]
fn two_seats() {
    for kind in BOTH {
        let left = Left { failures: 1, losses: 1, cancels: 0, retries: 0 };
        let model = Slots { seats: 2, rows: 3, left, ..Slots::one_seat(kind) };
        let more = Left { failures: 1, losses: 2, cancels: 1, retries: 1 };
        holds(
            &format!("two seats, {kind:?}"),
            if full() { Slots { nodes: 3, left: more, ..model } } else { model },
        );
    }
}

#[test]
fn with_seats_deleted_first() {
    for kind in BOTH {
        breaks(Slots::one_seat(kind).without(Guard::SeatsLast), p::WITHIN_THE_LIMIT);
    }
}

#[test]
fn with_seats_of_claims_that_do_not_count() {
    let model = Slots::one_seat(Kind::Concurrency).without(Guard::SeatsGivenBack);
    breaks(model, p::NONE_IS_KEPT_IDLE);
}

#[test]
fn with_a_sweep_that_believes_what_it_read() {
    let model = Slots::one_seat(Kind::Overlap).without(Guard::SweepRepeatsOver);
    breaks(model, p::WITHIN_THE_LIMIT);
}
