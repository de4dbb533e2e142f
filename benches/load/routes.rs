//! What is asked for.

use crate::data::Filled;

/// A route with what stands in its path, or the intake.
pub(crate) struct Route {
    /// As people know it.
    pub(crate) name: &'static str,
    /// As it is asked for.
    pub(crate) path: String,
    posts: bool,
}

impl Route {
    pub(crate) fn read(name: &'static str, path: String) -> Self {
        Self { name, path, posts: false }
    }

    /// Whether it only reads.
    pub(crate) fn reads(&self) -> bool {
        !self.posts
    }

    /// What is sent with it: an event of its own.
    pub(crate) fn body(&self, run: &str, number: u64) -> Option<String> {
        let event = format!(
            r#"{{"event_id":"{run}-{number}","type":"submitted","questionnaire_code":"Q{}","testee_id":{}}}"#,
            number % 20,
            number % 500 + 1
        );
        self.posts.then_some(event)
    }
}

/// Every route that reads what the business keeps, and the intake of events, one by one.
pub(crate) fn routes(filled: &Filled) -> Vec<Route> {
    let Filled { plan, task, run, after } = filled;
    let mut routes: Vec<Route> = [
        ("GET plans", "plans".to_owned()),
        ("GET plans/{id}", format!("plans/{plan}")),
        ("GET plans/{id}/tasks", format!("plans/{plan}/tasks")),
        ("GET plans/tasks", "plans/tasks".to_owned()),
        ("GET plans/tasks?after=…", format!("plans/tasks?after={after}")),
        ("GET plans/tasks/{id}", format!("plans/tasks/{task}")),
        ("GET testees/{id}/plans", "testees/7/plans".to_owned()),
        ("GET testees/{id}/tasks", "testees/7/tasks".to_owned()),
        ("GET testees/{id}/plans/{id}/tasks", format!("testees/1/plans/{plan}/tasks")),
        ("GET statistics/system", "statistics/system".to_owned()),
        ("GET statistics/questionnaires/{code}", "statistics/questionnaires/Q7".to_owned()),
        ("GET statistics/testees/{id}", "statistics/testees/7".to_owned()),
        ("GET statistics/plans/{id}", format!("statistics/plans/{plan}")),
        ("GET statistics/runs", "statistics/runs".to_owned()),
        ("GET statistics/runs/{id}", format!("statistics/runs/{run}")),
    ]
    .map(|(name, path)| Route::read(name, format!("/api/v1/{path}")))
    .into();
    let path = "/api/v1/statistics/events".to_owned();
    routes.push(Route { name: "POST statistics/events, one by one", path, posts: true });
    routes
}
