//! Who is enrolled in a plan: all tasks of a testee are made at once, and again when a paused plan goes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{ATTEMPTS, PlanError, Plans, allowed, beyond, ids_taken, keeps_changing};
use crate::domain::invalid::Invalid;
use crate::domain::plan::{AssessmentPlan, PlanEvent, PlanStatus};
use crate::domain::plan_schedule::Planned;
use crate::domain::plan_task::{PlanTask, TaskStatus};
use crate::store::business::plans::Inserted;
use crate::store::contention::retry;

impl Plans {
    /// Lets a paused plan go on: each testee gets the tasks after the highest one completed, counted from the start that
    /// is given or from the one that the task made last gives away.
    ///
    /// # Errors
    /// When its state forbids that, or a start is given for somebody who is not in the plan.
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

    /// Enrols a testee: all tasks are made at once.
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

    /// Cancels the tasks of a testee in a plan. Answers how many.
    ///
    /// # Errors
    /// When there is no such plan.
    pub async fn terminate(&self, org_id: i64, plan_id: i64, testee_id: i64) -> Result<u64, PlanError> {
        self.find(org_id, plan_id).await?;
        Ok(retry(|| self.store.terminate(org_id, plan_id, testee_id, self.clock.now())).await?)
    }

    async fn resumed(
        &self,
        plan: &AssessmentPlan,
        starts: &BTreeMap<i64, Date>,
    ) -> Result<Vec<PlanTask>, PlanError> {
        let enrolments = self.store.enrolments(plan.org_id, plan.id).await?;
        if let Some(stranger) = starts.keys().find(|id| !enrolments.iter().any(|one| one.testee_id == **id)) {
            let reason = format!("testee {stranger} is not enrolled in this plan");
            return Err(Invalid::new("testee_start_dates", reason).into());
        }
        let mut ids = self.new_id().run();
        let mut tasks = Vec::new();
        for one in enrolments {
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
