//! What happens when the last run of a task is not over.

use std::fmt;
use std::str::FromStr;

/// Policy for a run that finds the previous one still going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Do nothing and say so: exit 0, `status=skipped`.
    #[default]
    Skip,
    /// Wait for the previous run, within the total budget.
    Sequential,
    /// Run beside it; no lock is taken.
    Parallel,
    /// Refuse: exit 75.
    Fail,
}

impl Overlap {
    /// Every policy, in the order of the help text.
    pub const ALL: [Overlap; 4] = [Overlap::Skip, Overlap::Sequential, Overlap::Parallel, Overlap::Fail];

    /// The word in options, configuration and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Overlap::Skip => "skip",
            Overlap::Sequential => "sequential",
            Overlap::Parallel => "parallel",
            Overlap::Fail => "fail",
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Overlap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|overlap| overlap.as_str() == text)
            .ok_or_else(|| "expected skip, sequential, parallel or fail".to_owned())
    }
}
