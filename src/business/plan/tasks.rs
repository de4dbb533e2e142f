//! What operators see of single tasks and do to them.

use super::{ATTEMPTS, Listed, Part, PlanError, Plans, TaskFilter, TaskMark, keeps_changing};
use crate::domain::plan_task::{PlanTask, Refused, TaskEvent};
use crate::store::business::plans::Moved;
use crate::store::contention::retry;

impl Plans {
    /// Part of a list of tasks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tasks(
        &self,
        org_id: i64,
        filter: TaskFilter,
        part: Part<TaskMark>,
    ) -> Result<Listed<PlanTask, TaskMark>, PlanError> {
        Ok(self.store.tasks(org_id, filter, part).await?)
    }

    /// The task.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn find_task(&self, org_id: i64, id: i64) -> Result<PlanTask, PlanError> {
        let task = self.store.find_task(org_id, id).await?;
        task.ok_or_else(|| PlanError::NotFound { what: format!("task {id}") })
    }

    /// Lets this happen to a task.
    ///
    /// # Errors
    /// When its state or the time forbids that, or the event makes no sense.
    pub async fn apply(&self, org_id: i64, id: i64, event: TaskEvent) -> Result<PlanTask, PlanError> {
        for _ in 0..ATTEMPTS {
            let task = self.find_task(org_id, id).await?;
            let now = self.clock.now();
            let moved = task.apply(event.clone(), now).map_err(|refused| match refused {
                Refused::Invalid(invalid) => PlanError::Invalid(invalid),
                forbidden => PlanError::State { message: forbidden.to_string() },
            })?;
            if moved == task {
                return Ok(task);
            }
            match retry(|| self.store.move_task(task.status, &moved, now)).await? {
                Moved::Done => return Ok(moved),
                // Somebody else changed it after we looked: look again.
                Moved::Stale => {}
                Moved::AssessmentTaken => return Err(PlanError::AssessmentTaken),
            }
        }
        Err(keeps_changing("task", id))
    }
}
