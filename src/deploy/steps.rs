//! What was done, step by step: shown while it happens, and kept for the report.

use serde::Serialize;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should.
    Ok,
    /// It was not taken; the text says why.
    Skipped,
    /// It ended, and there is something to know.
    Warning,
    /// It ended the install.
    Failed,
}

impl Mark {
    /// The word in output.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Skipped => "skipped",
            Mark::Warning => "warning",
            Mark::Failed => "failed",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name, which is stable.
    pub step: &'static str,
    /// How it ended.
    pub result: Mark,
    /// What happened, without a secret.
    pub message: String,
}

/// The steps so far.
pub struct Steps<'a> {
    taken: Vec<Step>,
    show: Box<dyn FnMut(&Step) + 'a>,
}

impl<'a> Steps<'a> {
    /// No step yet; `show` sees each as it ends.
    pub fn new(show: impl FnMut(&Step) + 'a) -> Self {
        Self { taken: Vec::new(), show: Box::new(show) }
    }

    /// Every step so far.
    pub fn taken(&self) -> &[Step] {
        &self.taken
    }

    pub(super) fn add(&mut self, step: &'static str, result: Mark, message: impl Into<String>) {
        let step = Step { step, result, message: message.into() };
        (self.show)(&step);
        self.taken.push(step);
    }

    pub(super) fn ok(&mut self, step: &'static str, message: impl Into<String>) {
        self.add(step, Mark::Ok, message);
    }
}
