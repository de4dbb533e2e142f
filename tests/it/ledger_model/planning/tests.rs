//! The searches of this model.

use super::properties as p;
use super::{CatchUp, Planning};
use crate::ledger_model::check::{breaks, full, holds};
use crate::ledger_model::guards::Guard;

const LATEST_TWO: CatchUp = CatchUp::All { latest: 2, age: 3 };

fn two_tasks() -> Planning {
    let mut model = Planning::changes();
    model.schedules.push([0b0001_0100, 0b0001_1010]);
    Planning { changes: 1, last: 2, ..model }
}

#[test]
fn changes_beside_two_planners() {
    let model = Planning { changes: 1, ..Planning::changes() };
    holds("changes, two planners", if full() { Planning::changes() } else { model });
}

#[test]
fn changes_one_after_another() {
    let model = Planning { planners: 1, last: 2, changes: 3, ..Planning::changes() };
    holds("changes, one planner", if full() { Planning { last: 4, changes: 4, ..model } } else { model });
}

#[test]
fn two_tasks_beside_two_planners() {
    let model = two_tasks();
    holds("two tasks", if full() { Planning { last: 3, changes: 2, ..model } } else { model });
}

#[test]
fn a_backfill_beside_changes() {
    let model = Planning { backfills: 1, planners: 1, last: 2, ..Planning::changes() };
    let raced = Planning { last: 3, planners: 2, ..model.clone() };
    holds("a backfill", if full() { raced } else { model.clone() });
    let claimed = Planning { claims: true, ..model };
    holds("a backfill that is claimed", if full() { Planning { last: 3, ..claimed } } else { claimed });
}

#[test]
fn downtimes() {
    for catch_up in [CatchUp::Skip, CatchUp::Once, LATEST_TWO] {
        let small = Planning::downtime(catch_up);
        if !full() {
            holds(&format!("a downtime, {catch_up:?}"), small);
            continue;
        }
        let changed = Planning { last: 6, changes: 1, ..small.clone() };
        holds(&format!("a downtime with a change, {catch_up:?}"), changed);
        let raced = Planning { planners: 2, ..small };
        holds(&format!("a downtime with two planners, {catch_up:?}"), raced);
    }
}

#[test]
fn a_holder_lost_beside_a_downtime() {
    for catch_up in [CatchUp::Skip, CatchUp::Once] {
        let model = Planning { losses: 1, ..Planning::downtime(catch_up) };
        let large = Planning { last: 6, ..model.clone() };
        holds(
            &format!("a holder lost, {catch_up:?}"),
            if full() { large } else { Planning { last: 4, ..model } },
        );
    }
}

#[test]
fn without_the_watermark() {
    let model = Planning { planners: 2, claims: false, ..Planning::downtime(CatchUp::Once) };
    breaks(model.without(Guard::Watermark), p::LEDGER_IS_PLAN);
}

#[test]
fn without_the_catalog() {
    let model = Planning { changes: 1, ..Planning::changes() };
    let unguarded = model.without(Guard::Catalog);
    breaks(unguarded.clone(), p::LEDGER_IS_PLAN);
    breaks(unguarded, p::STOPPED_PLANS_NOTHING);
}

#[test]
fn with_the_unique_key_alone() {
    let model = Planning { changes: 1, ..Planning::changes() };
    breaks(model.without(Guard::Watermark).without(Guard::Catalog), p::LEDGER_IS_PLAN);
}

#[test]
fn with_revisions_read_first() {
    let model = Planning { changes: 1, ..Planning::changes() };
    breaks(model.without(Guard::PlannerBeforeRevisions), p::LEDGER_IS_PLAN);
}

#[test]
fn with_a_revision_inside_of_what_is_planned() {
    let model = Planning { changes: 1, ..Planning::changes() };
    breaks(model.without(Guard::BeginsAfterPlanned), p::ROWS_KEEP_THEIR_REVISION);
}

#[test]
fn with_a_revision_that_begins_in_the_past() {
    let model = Planning { changes: 1, ..Planning::changes() };
    breaks(model.without(Guard::BeginsAfterNow), p::PAST_IS_NOT_FIRED);
}

#[test]
fn without_gap_to() {
    for catch_up in [CatchUp::Once, LATEST_TWO] {
        breaks(Planning::downtime(catch_up).without(Guard::GapTo), p::SLICES_AGREE);
    }
}

#[test]
fn with_a_slice_beyond_its_gap() {
    let model = Planning::downtime(CatchUp::Once).without(Guard::SliceEndsAtGap);
    breaks(model, p::LATE_IS_NOT_ON_TIME);
}

#[test]
fn with_a_slice_that_splits_an_instant() {
    breaks(two_tasks().without(Guard::WholeInstants), p::LEDGER_IS_PLAN);
}

#[test]
fn with_scheduled_work_claimed_behind_a_gap() {
    let model = Planning::downtime(CatchUp::Once).without(Guard::ClaimRefusesBehind);
    breaks(model, p::ONE_FOR_A_DOWNTIME);
}

#[test]
fn with_pending_work_outside_of_the_gap() {
    let model = Planning::downtime(CatchUp::Skip).without(Guard::PendingJoinsGap);
    breaks(model, p::ONE_FOR_A_DOWNTIME);
}

#[test]
fn with_begun_work_inside_of_the_gap() {
    let model = Planning { losses: 1, ..Planning::downtime(CatchUp::Skip) };
    breaks(model.without(Guard::BegunStaysOut), p::BEGUN_IS_NOT_SKIPPED);
}

#[test]
fn with_paused_work_claimed() {
    let skipping = Planning { backfills: 1, last: 2, ..Planning::downtime(CatchUp::Skip) };
    let model = Planning { changes: 1, ..skipping };
    breaks(model.without(Guard::ClaimRefusesPaused), p::PAUSED_STARTS_NOTHING);
}

#[test]
fn with_missed_over_rows() {
    let model = Planning { backfills: 1, planners: 1, last: 2, ..Planning::changes() };
    breaks(model.without(Guard::MissedSubtractsRows), p::LEDGER_IS_PLAN);
}
