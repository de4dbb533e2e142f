//! The tasks as the planner and the workers see them: read again when their number says that one has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::task::{Revision, Task};
use crate::store::error::Answer;
use crate::store::scheduler::{Known, Tasks};

/// All tasks at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Which moment: the number rises with every change.
    pub number: i64,
    /// The tasks by their rows.
    pub tasks: HashMap<i64, Known>,
}

/// A task with the revision by which something runs.
#[derive(Clone, Debug)]
pub struct Governed {
    /// The task.
    pub task: Task,
    /// The revision.
    pub revision: Revision,
}

/// The tasks, and where they are read.
pub struct Catalog {
    store: Arc<dyn Tasks>,
    view: Mutex<Arc<View>>,
}

impl Catalog {
    /// One that knows nothing yet.
    pub fn new(store: Arc<dyn Tasks>) -> Self {
        Self { store, view: Mutex::default() }
    }

    /// What is known now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads everything that governs what comes after this instant.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(&self, after: Timestamp) -> Answer<Arc<View>> {
        let read = self.store.catalog(after).await?;
        let tasks = read.tasks.into_iter().map(|known| (known.task.id, known)).collect();
        let view = Arc::new(View { number: read.number, tasks });
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&view);
        Ok(view)
    }

    /// The task of an execution and the revision by which it runs; none where neither is there any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn governing(&self, task_id: i64, revision: i64) -> Answer<Option<Governed>> {
        let known = |view: &View| {
            let known = view.tasks.get(&task_id)?;
            let found = known.revisions.iter().find(|one| one.number == revision)?;
            Some(Governed { task: known.task.clone(), revision: found.clone() })
        };
        if let Some(found) = known(&self.view()) {
            return Ok(Some(found));
        }
        let found = self.store.revision(task_id, revision).await?;
        Ok(found.map(|(task, revision)| Governed { task, revision }))
    }
}
