//! A plan says that a scale is filled in again: its [`super::plan_schedule`] on which days, and [`super::plan_task`] is
//! one of those times.

use super::invalid::Invalid;
use super::plan_schedule::PlanSchedule;
use super::word::words;

/// Longest scale code: the width of the column.
const MAX_SCALE_CODE: usize = 100;

words! {
    /// How a plan stands.
    pub enum PlanStatus: "plan status" {
        /// Testees enrol, tasks are opened.
        Active = "active",
        /// Stopped; it can be resumed.
        Paused = "paused",
        /// Over.
        Finished = "finished",
        /// Given up.
        Canceled = "canceled",
    }
}

/// What an operator does to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlanEvent {
    /// Stop it for a while.
    Pause,
    /// Go on.
    Resume,
    /// Give it up.
    Cancel,
}

impl PlanEvent {
    /// The participle of messages: a plan "cannot be paused".
    pub fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "canceled",
        }
    }
}

impl PlanStatus {
    /// The one transition table. `None`: the state forbids it. What is so already stays as it is.
    pub fn after(self, event: PlanEvent) -> Option<Self> {
        match (self, event) {
            (Self::Active | Self::Paused, PlanEvent::Pause) => Some(Self::Paused),
            (Self::Active | Self::Paused, PlanEvent::Resume) => Some(Self::Active),
            (Self::Active | Self::Paused | Self::Canceled, PlanEvent::Cancel) => Some(Self::Canceled),
            _ => None,
        }
    }
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssessmentPlan {
    /// Identity.
    pub id: i64,
    /// Whose.
    pub org_id: i64,
    /// What is filled in.
    pub scale_code: String,
    /// When.
    pub schedule: PlanSchedule,
    /// How it stands.
    pub status: PlanStatus,
}

/// The code of a scale, without what surrounds it.
///
/// # Errors
/// When it is empty or too long.
pub fn check_scale_code(code: &str) -> Result<String, Invalid> {
    let code = code.trim();
    if code.contains('\u{0}') {
        return Err(Invalid::new("scale_code", "must not hold a NUL character"));
    }
    match code.chars().count() {
        1..=MAX_SCALE_CODE => Ok(code.to_owned()),
        found => {
            let reason = format!("expected 1 to {MAX_SCALE_CODE} characters, found {found}");
            Err(Invalid::new("scale_code", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_explicit_events_change_a_plan() {
        use PlanEvent::{Cancel, Pause, Resume};
        use PlanStatus::{Active, Canceled, Finished, Paused};
        for (from, [pause, resume, cancel]) in [
            (Active, [Some(Paused), Some(Active), Some(Canceled)]),
            (Paused, [Some(Paused), Some(Active), Some(Canceled)]),
            (Finished, [None, None, None]),
            (Canceled, [None, None, Some(Canceled)]),
        ] {
            assert_eq!(
                [Pause, Resume, Cancel].map(|event| from.after(event)),
                [pause, resume, cancel],
                "{from}"
            );
            assert_eq!(from.as_str().parse(), Ok(from));
        }
        assert!(
            "done"
                .parse::<PlanStatus>()
                .unwrap_err()
                .to_string()
                .ends_with("expected active, paused, finished, canceled")
        );
    }

    #[test]
    fn the_code_of_a_scale_is_trimmed_and_fits_its_column() {
        assert_eq!(check_scale_code(" PHQ9 ").unwrap(), "PHQ9");
        assert!(check_scale_code("  ").is_err());
        assert!(check_scale_code("a\u{0}b").is_err());
        assert!(check_scale_code(&format!("  {}  ", "界".repeat(100))).is_ok());
        assert!(check_scale_code(&"界".repeat(101)).is_err());
    }
}
