//! The lock that keeps two runs of one task apart. The kernel holds it, so a killed run frees its own.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::crontab::CallIdentity;
use crate::domain::outcome::{CallOutcome, CallReport};
use crate::domain::overlap::Overlap;
use crate::files::FileLock;

/// Most bytes of a lock file that are read or written over.
const LONGEST: usize = 4096;
/// How often a lock is asked for again whose file does not yet say who holds it, and the pause between.
const UNSIGNED: (u32, Duration) = (10, Duration::from_millis(5));

/// Who holds the lock of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its run.
    pub run_id: String,
    /// Its process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// Which line it is of; not known when an earlier version wrote it.
    #[serde(flatten, default)]
    pub identity: CallIdentity,
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
    /// What a run of the line `mine` comes to that finds another one still going. A run of another line under the same
    /// name is no reason to leave this one out: its own call would never be made, and nobody would hear of it.
    pub fn busy(policy: Overlap, mine: &CallIdentity, who: Option<&Holder>) -> CallReport {
        if let Some(other) = who.filter(|who| who.identity.differs(mine)) {
            let call = &other.identity.call;
            let message = format!(
                "not called: another line of the same task name holds its lock: {call} (run {}, process {}, since {}); give one of the two lines a name of its own with --task",
                other.run_id, other.pid, other.since
            );
            return CallReport::without_reply(CallOutcome::TryLater, message);
        }
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
    let path = path(dir, task);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let (asks, pause) = UNSIGNED;
    for ask in 1.. {
        let lock = match policy {
            Overlap::Parallel => return Ok(Claim::Mine(None)),
            Overlap::Skip | Overlap::Fail => FileLock::try_take(&path).map_err(named)?,
            Overlap::Sequential => FileLock::take_before(&path, deadline).await.map_err(named)?,
        };
        if let Some(lock) = lock {
            note(&lock, holder)?;
            return Ok(Claim::Mine(Some(lock)));
        }
        let who = read(&path);
        // Between taking the lock and writing its name a holder is a stranger: the file tells of the last one.
        if ask >= asks || who.as_ref().is_some_and(lives) {
            return Ok(Claim::Busy(who));
        }
        tokio::time::sleep(pause).await;
    }
    Ok(Claim::Busy(None))
}

/// The lock file of a task.
pub fn path(dir: &Path, task: &str) -> PathBuf {
    dir.join(format!("{task}.lock"))
}

/// Whether the process of a holder is there, as far as this one can see.
fn lives(holder: &Holder) -> bool {
    Path::new("/proc").join(holder.pid.to_string()).exists()
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

    fn holder(run_id: &str) -> Holder {
        let identity =
            CallIdentity { digest: "0123456789abcdef".to_owned(), call: "POST http://a/x".to_owned() };
        Holder { run_id: run_id.to_owned(), pid: std::process::id(), since: Timestamp::UNIX_EPOCH, identity }
    }

    #[test]
    fn a_run_is_left_out_for_one_of_its_own_line_alone() {
        let who = holder("first");
        let mine = who.identity.clone();
        let other = CallIdentity { digest: "f".to_owned(), call: "POST http://a/y".to_owned() };
        let unknown = CallIdentity::default();
        for (policy, mine, outcome) in [
            (Overlap::Skip, &mine, CallOutcome::Skipped),
            (Overlap::Skip, &unknown, CallOutcome::Skipped),
            (Overlap::Skip, &other, CallOutcome::TryLater),
            (Overlap::Fail, &mine, CallOutcome::TryLater),
            (Overlap::Sequential, &other, CallOutcome::TryLater),
        ] {
            let report = Claim::busy(policy, mine, Some(&who));
            assert_eq!(report.outcome, outcome, "{policy} {mine:?}");
            let named = report.message.contains("POST http://a/x") && report.message.contains("--task");
            assert_eq!(named, *mine == other, "{}", report.message);
        }
        assert_eq!(Claim::busy(Overlap::Skip, &other, None).outcome, CallOutcome::Skipped);
    }

    #[test]
    fn a_holder_of_an_earlier_version_can_be_read() {
        let old: Holder =
            serde_json::from_str(r#"{"run_id":"a","pid":7,"since":"1970-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(old.identity, CallIdentity::default());
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
