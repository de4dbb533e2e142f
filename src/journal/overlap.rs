//! The lock that keeps two runs of one task apart. The kernel holds it, so a killed run frees its own.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::outcome::{CallOutcome, CallReport};
use crate::domain::overlap::Overlap;
use crate::files::FileLock;

/// Most bytes of a lock file that are read or written over.
const LONGEST: usize = 4096;

/// Who holds the lock of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its run.
    pub run_id: String,
    /// Its process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// What asking for the lock came to.
#[derive(Debug)]
pub enum Claim {
    /// This run may go on; the lock, if the policy takes one, is held until this is dropped.
    Mine(Option<FileLock>),
    /// The previous run is still going; who it is, as far as it is known.
    Busy(Option<Holder>),
}

impl Claim {
    /// What a run comes to that finds the previous one still going.
    pub fn busy(policy: Overlap, who: Option<&Holder>) -> CallReport {
        let who = who.map_or_else(String::new, |who| {
            format!(" (run {}, process {}, since {})", who.run_id, who.pid, who.since)
        });
        let (outcome, what) = match policy {
            Overlap::Fail => (CallOutcome::TryLater, "is still going"),
            Overlap::Sequential => (CallOutcome::TryLater, "did not end within the budget"),
            Overlap::Skip | Overlap::Parallel => (CallOutcome::Skipped, "is still going"),
        };
        CallReport::without_reply(outcome, format!("the previous run {what}{who}"))
    }
}

/// Asks for the lock of `task` in `dir` on behalf of `holder`; `deadline` bounds the wait of [`Overlap::Sequential`].
pub async fn claim(
    dir: &Path,
    task: &str,
    policy: Overlap,
    holder: &Holder,
    deadline: Instant,
) -> io::Result<Claim> {
    let path = dir.join(format!("{task}.lock"));
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let lock = match policy {
        Overlap::Parallel => return Ok(Claim::Mine(None)),
        Overlap::Skip | Overlap::Fail => FileLock::try_take(&path).map_err(named)?,
        Overlap::Sequential => FileLock::take_before(&path, deadline).await.map_err(named)?,
    };
    match lock {
        Some(lock) => {
            note(&lock, holder)?;
            Ok(Claim::Mine(Some(lock)))
        }
        None => Ok(Claim::Busy(read(&path))),
    }
}

/// Writes who holds the lock into the locked file, over the last holder: spaces cover what is left of it. Emptying the
/// file first would make file systems write it out when it is closed, since that is how a careless editor saves.
fn note(lock: &FileLock, holder: &Holder) -> io::Result<()> {
    let mut json = serde_json::to_vec(holder).map_err(io::Error::other)?;
    let length = usize::try_from(lock.file().metadata()?.len()).unwrap_or(usize::MAX).min(LONGEST);
    json.resize(json.len().max(length), b' ');
    lock.file().write_all_at(&json, 0)
}

/// Who holds the lock; `None` when the holder has just begun and not yet written it.
fn read(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST as u64).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn holder(run_id: &str) -> Holder {
        Holder { run_id: run_id.to_owned(), pid: 7, since: Timestamp::UNIX_EPOCH }
    }

    #[tokio::test(start_paused = true)]
    async fn each_policy_meets_a_running_task() {
        let dir = tempfile::tempdir().unwrap();
        let claim = async |task, policy, run_id| {
            let deadline = Instant::now() + Duration::from_secs(3);
            super::claim(dir.path(), task, policy, &holder(run_id), deadline).await.unwrap()
        };
        let first = claim("a", Overlap::Skip, "first").await;
        for policy in [Overlap::Skip, Overlap::Fail, Overlap::Sequential] {
            let Claim::Busy(who) = claim("a", policy, "second").await else {
                panic!("{policy} got a held lock")
            };
            assert_eq!(who, Some(holder("first")));
        }
        assert!(matches!(claim("a", Overlap::Parallel, "second").await, Claim::Mine(None)));
        assert!(
            matches!(claim("b", Overlap::Skip, "second").await, Claim::Mine(Some(_))),
            "another task is another lock"
        );
        drop(first);
        assert!(matches!(claim("a", Overlap::Skip, "second").await, Claim::Mine(Some(_))));
    }

    #[tokio::test]
    async fn a_shorter_holder_covers_a_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        let claim = async |run_id| {
            super::claim(dir.path(), "a", Overlap::Skip, &holder(run_id), Instant::now()).await.unwrap()
        };
        for run_id in ["a-long-first-name", "short", "a-much-longer-third-name"] {
            let first = claim(run_id).await;
            let busy = claim("other").await;
            assert!(matches!(busy, Claim::Busy(Some(who)) if who == holder(run_id)), "{run_id}");
            drop(first);
        }
    }
}
