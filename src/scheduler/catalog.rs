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
    /// Those of which nothing starts.
    pub paused: Vec<i64>,
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
        let is_paused = |known: &&Known| known.revisions.last().is_some_and(|last| last.paused);
        let paused = read.tasks.iter().filter(is_paused).map(|known| known.task.id).collect();
        let tasks = read.tasks.into_iter().map(|known| (known.task.id, known)).collect();
        let view = Arc::new(View { number: read.number, tasks, paused });
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
        let Some(revision) = self.store.revision(task_id, revision).await? else { return Ok(None) };
        let view = self.view();
        let task = match view.tasks.get(&task_id) {
            Some(known) => known.task.clone(),
            None => match self.read(revision.valid_from).await?.tasks.get(&task_id) {
                Some(known) => known.task.clone(),
                None => return Ok(None),
            },
        };
        Ok(Some(Governed { task, revision }))
    }
}
