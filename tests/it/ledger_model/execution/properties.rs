//! What holds of executions, whatever happens in whatever order. What must come at last is asked of states at rest, where
//! the system has nothing left to do: as an `eventually` the checker would overlook it where ways join.

use stateright::Property;

use super::state::{Call, State};
use super::{Delivery, Execution};

pub const ONE_START_AN_ATTEMPT: &str = "no attempt starts twice";
pub const AT_MOST_ONCE: &str = "at-most-once work starts once";
pub const BY_THE_HOLDER: &str = "a state changes only by the holder of that attempt";
pub const DEAD_CHANGES_NOTHING: &str = "a dead session changes nothing";
pub const DEAD_STARTS_NOTHING: &str = "nothing starts under a dead session";
pub const STARTS_AFTER_COMMIT: &str = "nothing starts before COMMIT";
pub const STARTS_IN_TIME: &str = "nothing starts before its time";
pub const TRUST_IS_JUSTIFIED: &str = "who trusts himself was not declared dead";
pub const ONE_RESULT_AN_ATTEMPT: &str = "a result is recorded once";
pub const CANCELLED_STAYS_SO: &str = "what was cancelled does not come back";
pub const AT_REST_ALL_IS_OVER: &str = "at rest everything is over";

pub fn always() -> Vec<Property<Execution>> {
    vec![
        Property::always(ONE_START_AN_ATTEMPT, |_, state: &State| {
            state.seen.starts.iter().flatten().all(|starts| *starts <= 1)
        }),
        Property::always(AT_MOST_ONCE, at_most_once),
        Property::always(BY_THE_HOLDER, |_, state: &State| !state.seen.changed_by_stranger),
        Property::always(DEAD_CHANGES_NOTHING, |_, state: &State| !state.seen.changed_by_dead),
        Property::always(DEAD_STARTS_NOTHING, |_, state: &State| !state.seen.started_dead),
        Property::always(STARTS_AFTER_COMMIT, |_, state: &State| !state.seen.started_uncommitted),
        Property::always(STARTS_IN_TIME, |_, state: &State| !state.seen.started_too_soon),
        Property::always(TRUST_IS_JUSTIFIED, |_, state: &State| {
            state.nodes.iter().all(|node| !node.trust || !state.is_dead(node.session))
        }),
        Property::always(ONE_RESULT_AN_ATTEMPT, |_, state: &State| {
            let recorded = state.rows.iter().flat_map(|row| &row.attempts);
            recorded.copied().all(|attempt| attempt.results + attempt.late <= 1)
        }),
        Property::always(CANCELLED_STAYS_SO, |_, state: &State| {
            state.rows.iter().all(|row| !row.cancel_requested || !row.is_ready())
        }),
        Property::always(AT_REST_ALL_IS_OVER, at_rest_all_is_over),
    ]
}

/// What must be possible within the bounds, or the search would prove nothing.
pub fn sometimes(model: &Execution) -> Vec<Property<Execution>> {
    let mut properties = vec![Property::sometimes("a second attempt or a loss", |_, state: &State| {
        state.rows.iter().any(|row| row.attempt > 1 || row.losses > 0 || row.is_over())
    })];
    if model.left.expiries > 0 {
        properties.push(Property::sometimes("a late result", |_, state: &State| {
            state.rows.iter().flat_map(|row| &row.attempts).any(|attempt| attempt.late > 0)
        }));
    }
    if model.left.lost_replies > 0 {
        properties.push(Property::sometimes("a COMMIT that nobody waits for", |_, state: &State| {
            state.nodes.iter().any(|node| matches!(node.call, Call::Unknown(_)))
                && state.open.iter().any(|open| open.orphan && open.counted)
        }));
    }
    properties
}

fn at_most_once(model: &Execution, state: &State) -> bool {
    let starts = state.seen.starts.iter().map(|starts| starts.iter().sum::<u8>());
    model
        .deliveries
        .iter()
        .zip(starts)
        .all(|(delivery, starts)| *delivery == Delivery::AtLeastOnce || starts <= 1)
}

/// Nothing is left Running, under a dead session or a living one, and nothing waits for ever.
fn at_rest_all_is_over(model: &Execution, state: &State) -> bool {
    if state.rows.iter().all(super::state::Row::is_over) {
        return true;
    }
    let mut steps = Vec::new();
    model.steps(state, &mut steps);
    !steps.is_empty()
}
