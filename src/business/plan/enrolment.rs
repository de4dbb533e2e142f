//! Who is enrolled in a plan: all tasks of a testee are made at once, and again when a paused plan goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{ATTEMPTS, PlanError, Plans, allowed, beyond, ids_taken, keeps_changing};
use crate::domain::invalid::Invalid;
use crate::domain::plan::{AssessmentPlan, PlanEvent, PlanStatus};
use crate::domain::plan_schedule::Planned;
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::store::business::plans::{Enrolment, Inserted};
use crate::store::contention::retry;

impl Plans {
    /// Lets a paused plan go on: each testee gets the tasks after the highest one completed since enrolling, counted from the start that
    /// is given or from the one that the task made last gives away. Whose enrolment was ended gets none.
    ///
    /// # Errors
    /// When its state forbids that, or a start is given for somebody who is not in the plan or not any more.
    pub async fn resume(
        &self,
        org_id: i64,
        id: i64,
        starts: BTreeMap<i64, Date>,
    ) -> Result<AssessmentPlan, PlanError> {
        let mut in_the_way = keeps_changing("plan", id);
        for _ in 0..ATTEMPTS {
            let plan = self.find(org_id, id).await?;
            let status = allowed(&plan, PlanEvent::Resume)?;
            if plan.status == status {
                return if starts.is_empty() { Ok(plan) } else { Err(starts_unheard(status)) };
            }
            let tasks = self.resumed(&plan, &starts).await?;
            let resume = || self.store.resume_plan(org_id, id, &tasks, self.clock.now());
            in_the_way = match retry(resume).await? {
                Inserted::Done => return Ok(AssessmentPlan { status, ..plan }),
                Inserted::Stale | Inserted::Duplicate => keeps_changing("plan", id),
                Inserted::IdTaken => ids_taken(),
            };
        }
        Err(in_the_way)
    }

    /// Enrols a testee, also one whose enrolment was ended: all tasks are made at once.
    ///
    /// # Errors
    /// When the plan is not active, or the testee has tasks in it that are not over.
    pub async fn enrol(
        &self,
        org_id: i64,
        plan_id: i64,
        testee_id: i64,
        start: Date,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let mut in_the_way = keeps_changing("plan", plan_id);
        for _ in 0..ATTEMPTS {
            let plan = self.find(org_id, plan_id).await?;
            if plan.status != PlanStatus::Active {
                let message = format!("a plan cannot be enrolled in in state {}", plan.status);
                return Err(PlanError::State { message });
            }
            let planned = plan.schedule.tasks(start, 0).ok_or_else(|| beyond("start_date"))?;
            let tasks = self.tasks_of(&plan, testee_id, (&planned, "start_date"), self.new_id().run())?;
            in_the_way = match retry(|| self.store.enrol(&tasks, self.clock.now())).await? {
                Inserted::Done => return Ok(tasks),
                Inserted::Duplicate => return Err(PlanError::Enrolled { testee_id }),
                Inserted::Stale => keeps_changing("plan", plan_id),
                Inserted::IdTaken => ids_taken(),
            };
        }
        Err(in_the_way)
    }

    /// Ends the enrolment of a testee until the testee is enrolled again, whatever the plan does meanwhile. Answers how
    /// many tasks that canceled; ending what is ended cancels none.
    ///
    /// # Errors
    /// When there is no such plan, or the testee never was in it.
    pub async fn terminate(&self, org_id: i64, plan_id: i64, testee_id: i64) -> Result<u64, PlanError> {
        self.find(org_id, plan_id).await?;
        let canceled = retry(|| self.store.terminate(org_id, plan_id, testee_id, self.clock.now())).await?;
        let what = || format!("an enrolment of testee {testee_id} in plan {plan_id}");
        canceled.ok_or_else(|| PlanError::NotFound { what: what() })
    }

    async fn resumed(
        &self,
        plan: &AssessmentPlan,
        starts: &BTreeMap<i64, Date>,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let enrolments = self.store.enrolments(plan.org_id, plan.id).await?;
        check_enrolled(starts, &enrolments)?;
        let mut ids = self.new_id().run();
        let mut tasks = Vec::new();
        for one in enrolments.into_iter().filter(|one| !one.ended) {
            let day = one.last_planned_at.to_zoned(self.zone.clone()).date();
            let start =
                starts.get(&one.testee_id).copied().or_else(|| plan.schedule.start(one.last_seq, day));
            let unknown = || {
                let reason = format!("the start of testee {} is not known; give it", one.testee_id);
                Invalid::new("testee_start_dates", reason)
            };
            let planned = plan.schedule.tasks(start.ok_or_else(unknown)?, one.completed);
            let planned = planned.ok_or_else(|| beyond("testee_start_dates"))?;
            tasks.extend(self.tasks_of(plan, one.testee_id, (&planned, "testee_start_dates"), &mut ids)?);
        }
        Ok(tasks)
    }

    /// The tasks of these days, to which a field of the request led.
    fn tasks_of(
        &self,
        plan: &AssessmentPlan,
        testee_id: i64,
        (planned, field): (&[Planned], &'static str),
        ids: impl Iterator<Item = i64>,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let task = |(planned, id): (&Planned, i64)| {
            let planned_at = self.planned_at(planned.day, field)?;
            Ok(pending(plan, testee_id, planned.seq, planned_at, id))
        };
        planned.iter().zip(ids).map(task).collect()
    }
}

/// Of a plan that goes on already, the tasks are made, and nothing says whether from these starts.
fn starts_unheard(status: PlanStatus) -> PlanError {
    PlanError::State {
        message: format!("a plan cannot be resumed with testee_start_dates in state {status}"),
    }
}

/// A start is given for those alone who get tasks: an end is taken back by enrolling, not by the way.
fn check_enrolled(starts: &BTreeMap<i64, Date>, enrolments: &[Enrolment]) -> Result<(), Invalid> {
    for testee in starts.keys() {
        let reason = match enrolments.iter().find(|one| one.testee_id == *testee) {
            Some(one) if !one.ended => continue,
            Some(_) => format!(
                "the enrolment of testee {testee} was ended; enrol the testee again once the plan is active"
            ),
            None => format!("testee {testee} is not enrolled in this plan"),
        };
        return Err(Invalid::new("testee_start_dates", reason));
    }
    Ok(())
}

fn pending(plan: &AssessmentPlan, testee_id: i64, seq: u32, planned_at: Timestamp, id: i64) -> PlanTask {
    PlanTask {
        id,
        plan_id: plan.id,
        seq,
        org_id: plan.org_id,
        testee_id,
        scale_code: plan.scale_code.clone(),
        planned_at,
        open_at: None,
        expire_at: None,
        completed_at: None,
        status: TaskStatus::Pending,
        assessment_id: None,
        entry_token: None,
        entry_url: None,
    }
}
