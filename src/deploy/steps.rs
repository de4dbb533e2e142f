//! What was done, step by step: shown while it happens, and kept for the report.

use serde::Serialize;

use crate::domain::word::words;

words! {
    /// How a step ended.
    pub enum StepResult: "step result" {
        /// As it should.
        Ok = "ok",
        /// It was not taken; the text says why.
        Skipped = "skipped",
        /// It ended, and there is something to know.
        Warning = "warning",
        /// It ended the install.
        Failed = "failed",
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallStep {
    /// Its name, which is stable.
    pub step: &'static str,
    /// How it ended.
    pub result: StepResult,
    /// What happened, without a secret.
    pub message: String,
}

/// The steps so far.
pub struct Steps {
    taken: Vec<InstallStep>,
    show: Box<dyn FnMut(&InstallStep)>,
}

impl Steps {
    /// No step yet; `show` sees each as it ends.
    pub fn new(show: impl FnMut(&InstallStep) + 'static) -> Self {
        Self { taken: Vec::new(), show: Box::new(show) }
    }

    /// Every step so far.
    pub fn taken(&self) -> &[InstallStep] {
        &self.taken
    }

    pub(super) fn add(&mut self, step: &'static str, result: StepResult, message: impl Into<String>) {
        let step = InstallStep { step, result, message: message.into() };
        (self.show)(&step);
        self.taken.push(step);
    }

    pub(super) fn ok(&mut self, step: &'static str, message: impl Into<String>) {
        self.add(step, StepResult::Ok, message);
    }

    pub(super) fn skip(&mut self, step: &'static str, message: impl Into<String>) {
        self.add(step, StepResult::Skipped, message);
    }

    pub(super) fn warn(&mut self, step: &'static str, message: impl Into<String>) {
        self.add(step, StepResult::Warning, message);
    }
}
