//! What holds after a restore.

use stateright::Property;

use super::Restore;
use super::state::{RowState, State};

pub const ONE_START_AN_ATTEMPT: &str = "no attempt number of a key is used twice";
pub const AT_MOST_ONCE: &str = "at-most-once work starts once";
pub const NO_STRANGER: &str = "an old callback ends no new attempt";

pub fn all(model: &Restore) -> Vec<Property<Restore>> {
    let mut properties = vec![
        Property::always(ONE_START_AN_ATTEMPT, |_, state: &State| {
            state.seen.starts.windows(2).all(|starts| starts[0] != starts[1])
        }),
        Property::always(AT_MOST_ONCE, |model: &Restore, state: &State| {
            !model.at_most_once || state.seen.starts.windows(2).all(|starts| starts[0].0 != starts[1].0)
        }),
        Property::always(NO_STRANGER, |_, state: &State| !state.seen.stranger),
        Property::sometimes("a result comes after a restore", |_, state: &State| {
            state.under_way.iter().any(|start| start.age < state.restores)
        }),
    ];
    properties.push(if model.at_most_once {
        Property::sometimes("work is lost by a restore", |_, state: &State| {
            let lost = state.database.rows.iter().flatten().any(|row| row.state == RowState::Lost);
            lost && state.restores > 0
        })
    } else {
        Property::sometimes("the same key runs again", |_, state: &State| {
            state.seen.starts.windows(2).any(|starts| starts[0].0 == starts[1].0)
        })
    });
    properties
}
