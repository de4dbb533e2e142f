//! The verb `plan`: moves the watermark by compare-and-set and gives each occurrence that it passes a row or a reason.

use super::Planning;
use super::fate::{Fate, Slice};
use super::state::{Gap, Moment, Planner, Reading, Revision, Row, RowState, State, Trigger, bit, governing};
use crate::ledger_model::guards::Guard;

/// What a node has read, from which it plans.
struct Plan {
    now: Moment,
    planner: Planner,
    revisions: Vec<Vec<Revision>>,
}

impl Planning {
    /// How far a plan from this reading may go.
    pub fn furthest(&self, now: Moment, planner: Planner) -> Moment {
        let ahead = now + self.ahead;
        match planner.gap_to {
            Some(gap_to) if self.guards.has(Guard::SliceEndsAtGap) => gap_to.min(ahead),
            _ => ahead,
        }
    }

    /// One transaction. What was read may be old by now: then nothing moves, and nothing is written.
    pub fn plan(&self, state: &mut State, node: usize, through: Moment, half: bool) {
        let reading = std::mem::replace(&mut state.readings[node], Reading::Nothing);
        let Reading::Both(now, planner, revisions) = reading else { return };
        let watermark = planner.through == state.planner.through || !self.guards.has(Guard::Watermark);
        let catalog = planner.catalog == state.planner.catalog || !self.guards.has(Guard::Catalog);
        if !watermark || !catalog {
            return;
        }
        self.see_gap(state, now, planner.through);
        let behind = now.saturating_sub(planner.through) > self.grace;
        let (reference, found) = match planner.gap_to {
            Some(gap_to) if self.guards.has(Guard::GapTo) => (gap_to, false),
            _ => (now, behind),
        };
        state.planner.through = state.planner.through.max(through);
        let gap_to = planner.gap_to.or(found.then_some(now));
        state.planner.gap_to = gap_to.filter(|gap_to| *gap_to > through && self.guards.has(Guard::GapTo));
        let plan = Plan { now, planner, revisions };
        for task in 0..state.tasks.len() {
            if found && self.guards.has(Guard::PendingJoinsGap) {
                self.join(state, &plan, task, reference);
            }
            let last = if half && task > 0 { through - 1 } else { through };
            for at in planner.through + 1..=last {
                self.plan_one(state, &plan, task, at, reference);
            }
        }
    }

    /// What was planned ahead of a gap and is late now is skipped, or is what is caught up.
    fn join(&self, state: &mut State, plan: &Plan, task: usize, reference: Moment) {
        let before = state.tasks[task].clone();
        let slice = self.slice(&before, &plan.revisions[task], plan.planner.through);
        for at in 1..=plan.planner.through {
            if !slice.is_open(at) || !self.late(at, reference) {
                continue;
            }
            let row = &mut state.tasks[task].rows[usize::from(at)];
            let Some(row) = row else { continue };
            match self.fate(&slice, at, reference) {
                Fate::Row(trigger) => row.trigger = trigger,
                Fate::Missed(_) => row.state = RowState::Skipped,
            }
        }
    }

    fn plan_one(&self, state: &mut State, plan: &Plan, task: usize, at: Moment, reference: Moment) {
        let revisions = &plan.revisions[task];
        let Some((number, revision)) = governing(revisions, at) else { return };
        // What a pause passes over is written when it ends.
        if !revision.due(at) || revision.paused || state.tasks[task].row(at).is_some() {
            return;
        }
        let slice = self.slice(&state.tasks[task], revisions, plan.planner.through);
        match self.fate(&slice, at, reference) {
            Fate::Row(trigger) => {
                self.see_row(state, plan.now, task, at, trigger);
                let row = Row { revision: number, trigger, state: RowState::Pending, begun: false };
                state.tasks[task].rows[usize::from(at)] = Some(row);
            }
            Fate::Missed(reason) => {
                let missed = state.tasks[task].missed[usize::from(at)].replace(reason);
                state.seen.missed_twice |= missed.is_some();
            }
        }
    }

    /// A downtime begins for the properties when a plan finds the watermark behind and no earlier one is worked off.
    fn see_gap(&self, state: &mut State, now: Moment, through: Moment) {
        let open = state.seen.gap.as_ref().is_some_and(|gap| state.planner.through < gap.to);
        if open || now.saturating_sub(through) <= self.grace {
            return;
        }
        let mut gap = Gap { from: through, to: now, chosen: vec![], late: vec![], started: vec![] };
        for task in &state.tasks {
            let slice = Slice { with_begun: false, ..self.slice(task, &task.revisions, through) };
            let late: Vec<Moment> =
                (1..=now).filter(|at| self.late(*at, now) && slice.is_open(*at)).collect();
            let chosen = late
                .iter()
                .filter(|at| **at > through && self.choice(&slice, **at, now) == Fate::Row(Trigger::CatchUp));
            gap.chosen.push(chosen.map(|at| bit(*at)).sum());
            gap.late.push(late.iter().map(|at| bit(*at)).sum());
        }
        gap.started = std::mem::replace(&mut state.seen.escaped, vec![0; state.tasks.len()]);
        state.seen.gap = Some(gap);
    }

    fn see_row(&self, state: &mut State, now: Moment, task: usize, at: Moment, trigger: Trigger) {
        let on_time_of_gap =
            state.seen.gap.as_ref().is_some_and(|gap| at <= gap.to && !self.late(at, gap.to));
        if trigger == Trigger::Schedule && self.late(at, now) && !on_time_of_gap {
            state.seen.late_as_on_time = true;
        }
        let stopped = super::state::in_force(&state.tasks[task].revisions).is_none_or(|now| now.paused);
        state.seen.planned_while_stopped |= stopped;
    }
}
