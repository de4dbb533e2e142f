//! What happens when the last run of a task is not over.

use super::word::words;

words! {
    /// Policy for a run that finds the previous one still going.
    #[derive(Default)]
    pub enum Overlap: "overlap policy" {
        /// Do nothing and say so: exit 0, `status=skipped`.
        #[default]
        Skip = "skip",
        /// Wait for the previous run, within the total budget.
        Sequential = "sequential",
        /// Run beside it; no lock is taken.
        Parallel = "parallel",
        /// Refuse: exit 75.
        Fail = "fail",
    }
}
