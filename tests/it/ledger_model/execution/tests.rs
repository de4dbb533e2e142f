//! The searches of this model.

use super::properties as p;
use super::{Delivery, Execution};
use crate::ledger_model::check::{breaks, full, holds};
use crate::ledger_model::guards::Guard;

const BOTH: [Delivery; 2] = [Delivery::AtLeastOnce, Delivery::AtMostOnce];

#[test]
fn a_lease_that_runs_out() {
    for delivery in BOTH {
        holds("a lease that runs out", Execution::quiet(delivery).with(|left| left.expiries = 1));
    }
}

#[test]
fn a_crash() {
    for delivery in BOTH {
        holds("a crash", Execution::quiet(delivery).with(|left| left.crashes = 1));
    }
}

#[test]
fn a_lost_reply() {
    for delivery in BOTH {
        let lost = Execution::quiet(delivery).with(|left| left.lost_replies = 1);
        holds("a lost reply", lost);
    }
}

#[test]
fn a_failure_and_a_cancellation() {
    let model = Execution::quiet(Delivery::AtLeastOnce).due_at(1).with(|left| {
        left.failures = 1;
        left.cancels = 1;
    });
    holds("a failure and a cancellation", model);
}

#[test]
fn a_lease_and_a_lost_reply() {
    for delivery in BOTH {
        let model = Execution::quiet(delivery).with(|left| {
            left.expiries = 1;
            left.lost_replies = 1;
        });
        holds("a lease and a lost reply", model);
    }
}

#[test]
fn everything_at_once() {
    if !full() {
        return;
    }
    for delivery in BOTH {
        let model = Execution::quiet(delivery).with(|left| {
            left.expiries = 1;
            left.lost_replies = 1;
            left.crashes = 1;
            left.aborts = 1;
            left.cancels = 1;
        });
        holds("a lease, a lost reply, a crash, a rollback, a cancellation", model);
        let model = Execution::quiet(delivery).with(|left| {
            left.expiries = 2;
            left.lost_replies = 2;
            left.failures = 1;
        });
        holds("two leases, two lost replies, a failure", model);
    }
}

#[test]
fn three_nodes_and_two_executions() {
    if !full() {
        return;
    }
    let expiry = |left: &mut super::Left| left.expiries = 1;
    let model = Execution { nodes: 3, ..Execution::quiet(Delivery::AtLeastOnce) };
    holds("three nodes, a lease", model.with(expiry));
    let model = Execution { deliveries: BOTH.to_vec(), ..Execution::quiet(Delivery::AtLeastOnce) };
    holds("two executions, a lease", model.with(expiry));
}

#[test]
fn without_the_beat_in_the_claim() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.expiries = 1);
    breaks(model.without(Guard::BeatInClaim), p::DEAD_CHANGES_NOTHING);
}

#[test]
fn without_the_attempt_in_the_claim() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.failures = 1);
    breaks(model.without(Guard::AttemptInClaim), p::ONE_START_AN_ATTEMPT);
}

#[test]
fn without_the_due_time_in_the_claim() {
    let model = Execution::quiet(Delivery::AtLeastOnce).due_at(1);
    breaks(model.without(Guard::RunAtInClaim), p::STARTS_IN_TIME);
}

#[test]
fn without_holder_and_attempt_in_the_finish() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.expiries = 1);
    breaks(model.without(Guard::FinishByHolder), p::BY_THE_HOLDER);
}

#[test]
fn without_waiting_for_the_commit() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.aborts = 1);
    let early = model.without(Guard::StartAfterCommit);
    breaks(early.clone(), p::STARTS_AFTER_COMMIT);
    breaks(early, p::ONE_START_AN_ATTEMPT);
}

#[test]
fn without_trust_at_the_start() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.expiries = 1);
    breaks(model.without(Guard::StartWhileTrusted), p::DEAD_STARTS_NOTHING);
}

#[test]
fn with_trust_from_the_reply() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.expiries = 1);
    breaks(model.without(Guard::TrustFromSend), p::TRUST_IS_JUSTIFIED);
}

#[test]
fn without_the_beat_in_the_declaration() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.expiries = 1);
    breaks(model.without(Guard::DeclareByBeat), p::TRUST_IS_JUSTIFIED);
}

#[test]
fn with_a_sweep_of_ones_own_dead_only() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| {
        left.expiries = 1;
        left.crashes = 1;
    });
    breaks(model.without(Guard::SweepsAllDead), p::AT_REST_ALL_IS_OVER);
}

#[test]
fn without_reading_after_a_lost_reply() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.lost_replies = 1);
    let repeating = model.without(Guard::ReadBeforeRepeat);
    breaks(repeating.clone(), p::AT_REST_ALL_IS_OVER);
    breaks(repeating, p::ONE_RESULT_AN_ATTEMPT);
}

#[test]
fn without_a_row_of_each_attempt() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| {
        left.lost_replies = 1;
        left.expiries = 1;
    });
    breaks(model.without(Guard::EveryAttemptHasARow), p::ONE_RESULT_AN_ATTEMPT);
}

#[test]
fn with_a_reading_that_does_not_wait() {
    let model = Execution::quiet(Delivery::AtLeastOnce).with(|left| left.lost_replies = 1);
    let reading = model.without(Guard::ReadBehindBeat);
    breaks(reading.clone(), p::AT_REST_ALL_IS_OVER);
    breaks(reading, p::ONE_RESULT_AN_ATTEMPT);
}
