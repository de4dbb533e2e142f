//! Random walks through a model, for whoever compares the real store with it.

use stateright::Model;

/// What is done, and the state that must be found after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<Action, State> {
    pub action: Action,
    pub expected: State,
}

/// A walk of at most this many steps: each action that changes something is as likely as the others. The same seed is
/// the same walk.
pub fn traces<M>(model: &M, seed: u64, length: usize) -> Vec<Step<M::Action, M::State>>
where
    M: Model,
    M::State: Clone,
{
    let mut random = fastrand::Rng::with_seed(seed);
    let mut state = model.init_states().swap_remove(0);
    let mut walk = Vec::with_capacity(length);
    while walk.len() < length {
        let mut steps = model.next_steps(&state);
        if steps.is_empty() {
            break;
        }
        let (action, expected) = steps.swap_remove(random.usize(..steps.len()));
        state = expected.clone();
        walk.push(Step { action, expected });
    }
    walk
}
