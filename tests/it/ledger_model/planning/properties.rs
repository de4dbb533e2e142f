//! What holds of planning, whatever happens in whatever order.

use stateright::Property;

use super::state::{Moment, Reason, RowState, State, Task, Trigger, bit, governing, in_force};
use super::{CatchUp, Planning};

pub const LEDGER_IS_PLAN: &str = "ledger and missed are the plan";
pub const ROWS_KEEP_THEIR_REVISION: &str = "a row is of the revision that governs its time";
pub const PAST_IS_NOT_FIRED: &str = "no revision fires what lies before it was made";
pub const STOPPED_PLANS_NOTHING: &str = "nothing is planned for a paused or deleted task";
pub const SLICES_AGREE: &str = "slices catch up what one piece would";
pub const LATE_IS_NOT_ON_TIME: &str = "nothing late is planned as on time";
pub const PAUSED_STARTS_NOTHING: &str = "nothing of a paused task is started";
pub const BEGUN_IS_NOT_SKIPPED: &str = "what has begun is not skipped";
pub const ONE_FOR_A_DOWNTIME: &str = "a downtime is caught up as often as the task says";

pub fn always() -> Vec<Property<Planning>> {
    vec![
        Property::always(LEDGER_IS_PLAN, ledger_is_plan),
        Property::always(ROWS_KEEP_THEIR_REVISION, rows_keep_their_revision),
        Property::always(PAST_IS_NOT_FIRED, past_is_not_fired),
        Property::always(STOPPED_PLANS_NOTHING, stopped_plans_nothing),
        Property::always(SLICES_AGREE, slices_agree),
        Property::always(LATE_IS_NOT_ON_TIME, |_, state: &State| !state.seen.late_as_on_time),
        Property::always(PAUSED_STARTS_NOTHING, |_, state: &State| !state.seen.started_paused),
        Property::always(BEGUN_IS_NOT_SKIPPED, |_, state: &State| {
            rows(state).all(|(_, _, row)| !row.begun || row.state != RowState::Skipped)
        }),
        Property::always(ONE_FOR_A_DOWNTIME, one_for_a_downtime),
    ]
}

/// What must be possible within the bounds, or the search would prove nothing.
pub fn sometimes(model: &Planning) -> Vec<Property<Planning>> {
    let mut properties = vec![
        Property::sometimes("everything is planned", |model: &Planning, state: &State| {
            state.planner.through == model.last + model.ahead
        }),
        Property::sometimes("a gap is worked off in slices", |_, state: &State| {
            state.planner.gap_to.is_some()
        }),
    ];
    if model.claims && !matches!(model.catch_up, CatchUp::Skip) {
        properties.push(Property::sometimes("a caught-up occurrence runs", |_, state: &State| {
            rows(state).any(|(_, _, row)| row.trigger == Trigger::CatchUp && row.state == RowState::Started)
        }));
    }
    if model.changes > 1 {
        properties.push(Property::sometimes("a pause ended", |_, state: &State| {
            state.tasks.iter().any(|task| task.missed.contains(&Some(Reason::Paused)))
        }));
    }
    properties
}

/// Each occurrence of the revision that governs its time is one row, or inside of missed, or under a pause that has not
/// ended; nothing else is there.
fn ledger_is_plan(model: &Planning, state: &State) -> bool {
    let explained = |task: &Task, at: Moment| {
        let governed = governing(&task.revisions, at).filter(|(_, revision)| revision.due(at));
        let (row, missed) = (task.row(at).is_some(), task.is_missed(at));
        let Some((_, revision)) = governed else { return !row && missed.is_none() };
        let under_pause = revision.paused && revision.valid_to.is_none();
        let passed = at <= state.planner.through;
        match (row, missed) {
            (true, Some(_)) => false,
            (true, None) => passed,
            (false, Some(_)) => passed || revision.paused && revision.valid_to.is_some(),
            (false, None) => under_pause || !passed && !revision.paused,
        }
    };
    let all = state.tasks.iter().all(|task| model.moments().all(|at| explained(task, at)));
    all && !state.seen.missed_twice
}

fn rows_keep_their_revision(_: &Planning, state: &State) -> bool {
    rows(state).all(|(task, at, row)| {
        governing(&task.revisions, at).is_some_and(|(number, _)| number == row.revision)
    })
}

fn past_is_not_fired(_: &Planning, state: &State) -> bool {
    rows(state).all(|(task, at, row)| at > task.revisions[row.revision].made_at)
}

fn stopped_plans_nothing(_: &Planning, state: &State) -> bool {
    let stopped = |task: &Task| in_force(&task.revisions).is_none_or(|now| now.paused);
    let pending = rows(state)
        .any(|(task, _, row)| row.state == RowState::Pending && super::planned(row.trigger) && stopped(task));
    !pending && !state.seen.planned_while_stopped
}

/// Of the downtime that was found last, as far as it is worked off.
fn slices_agree(model: &Planning, state: &State) -> bool {
    let Some(gap) = &state.seen.gap else { return true };
    state.tasks.iter().zip(&gap.chosen).all(|(task, chosen)| {
        (gap.from + 1..=gap.to.min(state.planner.through)).all(|at| {
            let is_chosen = chosen & bit(at) != 0;
            match (task.row(at), task.is_missed(at)) {
                (Some(row), _) if row.trigger == Trigger::CatchUp => is_chosen,
                (Some(row), _) if row.trigger == Trigger::Schedule => !model.late(at, gap.to),
                (None, Some(reason)) => !is_chosen || matches!(reason, Reason::Paused | Reason::Deleted),
                _ => true,
            }
        })
    })
}

fn one_for_a_downtime(model: &Planning, state: &State) -> bool {
    let allowed = match model.catch_up {
        CatchUp::Skip => 0,
        CatchUp::Once => 1,
        CatchUp::All { latest, .. } => latest,
    };
    state.seen.gap.iter().flat_map(|gap| &gap.started).all(|started| usize::from(*started) <= allowed)
}

fn rows(state: &State) -> impl Iterator<Item = (&Task, Moment, &super::state::Row)> {
    state.tasks.iter().flat_map(|task| {
        (0..).zip(&task.rows).filter_map(move |(at, row)| row.as_ref().map(|row| (task, at, row)))
    })
}
