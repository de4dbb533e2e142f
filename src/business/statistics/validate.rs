//! The validation: both sides of all three tables compared, and in repair mode made equal.
//!
//! The sources are the truth: counters for `statistics_daily`, that for `statistics_accumulated`, tasks for
//! `statistics_plan`. What changed in a source after the last sync of its table is `pending`, no difference.

mod accumulated;
mod daily;
mod plan;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::context::Context;
use crate::business::sync_run::{Progress, SyncStopped, SyncWork};
use crate::domain::sync_run::SyncKind;
use crate::domain::word::words;
use crate::store::StoreError;
use crate::store::contention::retry;

words! {
    /// What is done about a difference.
    #[derive(Default)]
    pub enum Mode: "mode" {
        /// It is listed.
        #[default]
        Report = "report",
        /// The table is made equal to its source; a lost counter is given back what the table knows.
        Repair = "repair",
    }
}

/// Compares an organisation's statistics.
pub(super) struct Validation {
    pub(super) context: Arc<Context>,
    pub(super) mode: Mode,
}

#[async_trait]
impl SyncWork for Validation {
    fn kind(&self) -> SyncKind {
        SyncKind::Validate
    }

    fn request(&self) -> String {
        format!("validate {}", self.mode.as_str())
    }

    async fn perform(&self, org_id: i64, progress: &mut Progress) -> Result<(), SyncStopped> {
        let (context, found) = (Arc::clone(&self.context), Found::default());
        let mut comparison = Comparison { context, org_id, mode: self.mode, progress, found };
        let ended = comparison.all().await;
        comparison.progress.detail = Some(comparison.found.to_json(self.mode));
        ended
    }
}

/// How many differences there were in which table, and what became of them.
#[derive(Debug, Default)]
struct Found {
    differences: BTreeMap<&'static str, u64>,
    repaired: u64,
    pending: u64,
}

impl Found {
    fn to_json(&self, mode: Mode) -> serde_json::Value {
        let of = |table| self.differences.get(table).copied().unwrap_or(0);
        json!({
            "mode": mode.as_str(),
            "differences": { "daily": of(DAILY), "accumulated": of(ACCUMULATED), "plan": of(PLAN) },
            "repaired": self.repaired,
            "pending": self.pending,
        })
    }
}

const DAILY: &str = "statistics_daily";
const ACCUMULATED: &str = "statistics_accumulated";
const PLAN: &str = "statistics_plan";

/// One validation under way.
struct Comparison<'a> {
    context: Arc<Context>,
    org_id: i64,
    mode: Mode,
    progress: &'a mut Progress,
    found: Found,
}

impl Comparison<'_> {
    async fn all(&mut self) -> Result<(), SyncStopped> {
        self.daily().await?;
        self.accumulated().await?;
        self.plans().await
    }

    fn repairs(&self) -> bool {
        self.mode == Mode::Repair
    }

    /// A row that is as it should be.
    fn equal(&mut self) {
        self.progress.scanned += 1;
        self.progress.unchanged += 1;
    }

    /// A row whose source changed after the last sync: left to the next one, unless it is about to be written.
    fn pending(&mut self, written: bool) {
        self.progress.scanned += 1;
        self.found.pending += 1;
        if !(written && self.repairs()) {
            self.progress.skipped += 1;
        }
    }

    /// A row that is not as it should be: listed, unless it is about to be repaired.
    fn differs(&mut self, table: &'static str, item: impl Display, message: String) {
        self.progress.scanned += 1;
        *self.found.differences.entry(table).or_default() += 1;
        if !self.repairs() {
            self.progress.fail(1, format!("{table} {item}"), message);
        }
    }

    /// Writes rows that are to be repaired, in repair mode; they are then right, or still different.
    async fn repair<F>(&mut self, table: &'static str, rows: usize, write: impl FnMut() -> F)
    where
        F: Future<Output = Result<u64, StoreError>>,
    {
        if !self.repairs() || rows == 0 {
            return;
        }
        let rows = rows as u64;
        match retry(write).await {
            Ok(changed) => {
                self.progress.written += changed;
                // Somebody else has repaired the others.
                self.progress.unchanged += rows.saturating_sub(changed);
                self.found.repaired += rows;
            }
            Err(error) => self.progress.fail(rows, format!("{table}, {rows} rows"), error.to_string()),
        }
    }
}

/// What each side says, where they do not agree: `submissions: 5 in the counters, 3 in the table`.
fn disagreement(source: &str, facts: &[(&str, i64, i64)]) -> String {
    let parts: Vec<String> = facts
        .iter()
        .filter(|(_, truth, row)| truth != row)
        .map(|(name, truth, row)| format!("{name}: {truth} in {source}, {row} in the table"))
        .collect();
    if parts.is_empty() { "the distributions differ".to_owned() } else { parts.join("; ") }
}
