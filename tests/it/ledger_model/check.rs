//! Searches a model: every state of it when the rules are in force, up to the first failure when one was removed.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::io::Write;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::support::databases::required;

/// Whether the large bounds were asked for.
pub fn full() -> bool {
    required("model")
}

/// Every property holds in every state, and what should be possible is. In depth first, which needs less memory.
pub fn holds<M>(what: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let began = Instant::now();
    let threads = if full() { 2 } else { 1 };
    let checker = model.checker().threads(threads).spawn_dfs().join();
    let found = checker.discoveries();
    for property in checker.model().properties() {
        let path = found.get(property.name).cloned();
        if property.expectation.discovery_is_failure() {
            if let Some(path) = path {
                let last = path.last_state().clone();
                let actions = path.into_actions();
                panic!("{what}: not always: {}\n{actions:?}\n{last:?}", property.name);
            }
        } else {
            assert!(path.is_some(), "{what}: never: {}", property.name);
        }
    }
    say(&format!(
        "model: {what}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64(),
    ));
}

/// This property fails: the shortest way there. In breadth first, so it is the same each time.
pub fn breaks<M>(model: M, property: &'static str) -> Vec<M::Action>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let states = checker.unique_state_count();
    let Some(path) = checker.discovery(property) else {
        panic!("{states} states without a counterexample to: {property}");
    };
    let actions = shorten(checker.model(), property, path.into_actions());
    say(&format!("model: not always: {property}: {states} states, {} steps: {actions:?}", actions.len()));
    actions
}

/// Leaves out what the failure does not need.
fn shorten<M>(model: &M, property: &'static str, mut actions: Vec<M::Action>) -> Vec<M::Action>
where
    M: Model,
    M::Action: Clone + PartialEq,
{
    let mut index = 0;
    while index < actions.len() {
        let mut fewer = actions.clone();
        fewer.remove(index);
        if let Some(needed) = steps_to(model, property, &fewer) {
            actions = fewer;
            actions.truncate(needed);
            index = 0;
        } else {
            index += 1;
        }
    }
    actions
}

/// After how many of these actions the property fails; none when it does not, or an action is not possible.
fn steps_to<M>(model: &M, property: &'static str, actions: &[M::Action]) -> Option<usize>
where
    M: Model,
    M::Action: Clone + PartialEq,
{
    let condition = model.property(property).condition;
    let mut state = model.init_states().swap_remove(0);
    for (taken, action) in actions.iter().enumerate() {
        if !condition(model, &state) {
            return Some(taken);
        }
        let mut possible = Vec::new();
        model.actions(&state, &mut possible);
        state = possible.contains(action).then(|| model.next_state(&state, action.clone()))??;
    }
    (!condition(model, &state)).then_some(actions.len())
}

/// Written past the harness, which hides what a passing test prints.
fn say(line: &str) {
    if full() {
        drop(writeln!(std::io::stderr(), "{line}"));
    }
}
