//! What holds of seats, whatever happens in whatever order.

use stateright::Property;

use super::state::{Row, RowState, State};
use super::{Kind, Slots};

pub const WITHIN_THE_LIMIT: &str = "no more executions than seats";
pub const EACH_HAS_ITS_SEAT: &str = "what runs has a seat";
pub const NONE_IS_KEPT_IDLE: &str = "a seat of concurrency belongs to what runs";
pub const AT_REST_ALL_IS_OVER: &str = "at rest everything is over and no seat is taken";

pub fn all() -> Vec<Property<Slots>> {
    vec![
        Property::always(WITHIN_THE_LIMIT, within_the_limit),
        Property::always(EACH_HAS_ITS_SEAT, |_, state: &State| {
            (0..state.rows.len()).filter(|row| is_running(&state.rows[*row])).all(|row| sits(state, row))
        }),
        Property::always(NONE_IS_KEPT_IDLE, |model: &Slots, state: &State| {
            let idle = state.seats.iter().flatten().any(|row| !is_running(&state.rows[*row]));
            model.kind == Kind::Overlap || !idle
        }),
        Property::always(AT_REST_ALL_IS_OVER, at_rest_all_is_over),
        Property::sometimes("all seats are taken", |model: &Slots, state: &State| {
            state.rows.iter().filter(|row| is_running(row)).count() == model.seats
        }),
    ]
}

/// Of an overlap, what has begun counts until it is over, however often it is tried.
fn within_the_limit(model: &Slots, state: &State) -> bool {
    let counts = |row: &&Row| match model.kind {
        Kind::Overlap => row.begun,
        Kind::Concurrency => is_running(row),
    };
    state.rows.iter().filter(counts).count() <= model.seats
}

fn is_running(row: &Row) -> bool {
    row.state == RowState::Running
}

fn sits(state: &State, row: usize) -> bool {
    state.seats.contains(&Some(row))
}

fn at_rest_all_is_over(_: &Slots, state: &State) -> bool {
    if state.rows.iter().all(Row::is_over) && state.seats.iter().all(Option::is_none) {
        return true;
    }
    let mut steps = Vec::new();
    Slots::steps(state, &mut steps);
    !steps.is_empty()
}
