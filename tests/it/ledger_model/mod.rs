//! The protocol by which nothing is lost or doubled, as models that are searched state by state: every order of the steps
//! of several nodes, with crashes, lost replies, frozen processes and restored databases between them.
//!
//! Four models, because one would be too large: [`planning`], [`execution`], [`slots`] and [`restore`]. Each has the
//! properties that must hold, the events that must be possible (or the search would prove nothing), and for each rule of
//! the protocol a test that takes it away and finds a counterexample ([`guards`]). Who changes the protocol changes the
//! model first, and sees it fail.
//!
//! `cargo test` searches small bounds. With `QS_TEST_REQUIRE=model` the large ones are searched and the number of states
//! is said; that wants a release build.
//!
//! What a step of a model is in the store (`store::scheduler`):
//!
//! | model | step | verb | function |
//! |---|---|---|---|
//! | planning | `ReadPlanner`, `ReadRevisions` | plan, its reading | later: what `plan` is given |
//! | planning | `Plan`, with `gap_to` and what joins the gap | plan | later: `plan` |
//! | planning | `Change` | change a task | later: `change_task` |
//! | planning | `ReadCandidate`, `Claim` | claim | later: `claim` |
//! | planning | `Backfill` | backfill | later: `backfill` |
//! | execution | `ReadCandidate` | claim, its reading | later: `claim` |
//! | execution | `Send` and `Commit` of `Claim` | claim | later: `claim` |
//! | execution | `Send` and `Commit` of `Finish` | finish, and its late result | later: `finish` |
//! | execution | `Send` and `Commit` of `Release` | release | later: `release` |
//! | execution | `RollBack`, `LoseReply` | what a proxy between store and database does | later: a test's own |
//! | execution | `Resolve` | reading before repeating | later: `beat`, and the reading behind it |
//! | execution | `Beat` | beat | later: `beat` |
//! | execution | `Suspect`, `Declare` | declare dead | later: `declare_dead` |
//! | execution | `Sweep` | sweep | later: `sweep` |
//! | execution | `NewSession` | a node begins a session | later: `beat`, of a new node |
//! | execution | `Cancel` | cancel | later: `cancel` |
//! | execution | `Start`, `End`, `Expire`, `Crash`, `Learn` | none: the engine's memory | later: the runner |
//! | slots | `Claim`, `Finish` | claim, finish, with seats | later: `claim`, `finish` |
//! | slots | `LoseHolder` | declare dead, sweep | later: `declare_dead`, `sweep` |
//! | slots | `Cancel`, `Retry` | cancel, retry | later: `change_task`, `retry` |
//! | slots | `ReadSweep`, `Sweep` | sweep, of seats | later: `sweep` |
//! | restore | `Plan`, `Claim`, `Answer` | plan, claim, callback of an executor | later: `plan`, `claim`, `finish` |
//! | restore | `Restored` | `planner restored` | later: the command |
//! | none | | enqueue, prune | later: `enqueue`, `prune` |
//!
//! [`traces`] gives random walks through a model, with the state after each step, for the test that compares the store.

mod check;
mod execution;
mod guards;
mod planning;
mod restore;
mod slots;
mod trace;

use stateright::Model;

use execution::{Delivery, Execution};
use planning::{CatchUp, Planning};
use restore::Restore;
use slots::{Kind, Slots};
use trace::traces;

/// A walk is the same for the same seed, goes somewhere, and every state on it has every property.
fn assert_walks<M>(model: &M)
where
    M: Model,
    M::State: Clone + PartialEq,
    M::Action: PartialEq,
{
    let always =
        model.properties().into_iter().filter(|property| property.expectation.discovery_is_failure());
    let always: Vec<_> = always.collect();
    for seed in 0..20 {
        let walk = traces(model, seed, 40);
        assert!(walk == traces(model, seed, 40), "seed {seed} is two walks");
        assert!(walk.len() > 5, "seed {seed} ends after {} steps", walk.len());
        for step in &walk {
            for property in &always {
                assert!((property.condition)(model, &step.expected), "seed {seed}: {}", property.name);
            }
        }
    }
    assert!(traces(model, 0, 40) != traces(model, 1, 40), "the seed makes no difference");
}

#[test]
fn walks_of_planning() {
    assert_walks(&Planning::changes());
    assert_walks(&Planning::downtime(CatchUp::Once));
}

#[test]
fn walks_of_execution() {
    assert_walks(&Execution::quiet(Delivery::AtLeastOnce).with(|left| {
        left.expiries = 2;
        left.lost_replies = 2;
        left.crashes = 1;
    }));
}

#[test]
fn walks_of_slots() {
    assert_walks(&Slots::one_seat(Kind::Overlap));
}

#[test]
fn walks_of_restore() {
    assert_walks(&Restore::once(false));
}
