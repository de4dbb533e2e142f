//! A Redis that throws keys away when it is full: the counters are among them, and nobody would hear of it.

use std::sync::{Mutex, PoisonError};

use redis::{Value, pipe};

use super::page::text;
use crate::redis::Link;

/// Which of its settings that may do so was told last, so that a change is told and nothing twice.
#[derive(Default)]
pub(super) struct Eviction(Mutex<Option<String>>);

impl Eviction {
    /// Asks. A server that does not answer this, or may not be asked, is not judged.
    pub(super) async fn ask(&self, link: &Link) {
        let mut ask = pipe();
        ask.cmd("INFO").arg("memory");
        if let Ok(answers) = link.answers(&ask).await {
            answers.first().iter().for_each(|memory| self.tell(link, memory));
        }
    }

    /// Tells what the answer to `INFO memory` says, if that is news.
    pub(super) fn tell(&self, link: &Link, memory: &Value) {
        let found = policy(&text(memory));
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == found {
            return;
        }
        told.clone_from(&found);
        let Some(policy) = found else { return };
        let lost = if policy.starts_with("volatile-") {
            "may forget which events were counted, and count one twice that is sent again"
        } else {
            "may throw counters away, which are the source of the statistics"
        };
        let place = link.place();
        tracing::warn!(
            place,
            policy,
            "Redis {lost}, when its memory is full (hint: maxmemory-policy noeviction)"
        );
    }
}

/// The policy by which keys are thrown away; none where that never happens, or is not said.
fn policy(memory: &str) -> Option<String> {
    let field = |name: &str| {
        let of_name =
            |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned());
        memory.lines().find_map(of_name)
    };
    let limit = field("maxmemory")?;
    field("maxmemory_policy").filter(|policy| policy != "noeviction" && limit != "0")
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn only_what_is_said_is_judged() {
        let said =
            |limit, found| policy(&format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{found}\r\n"));
        assert_eq!(said("100", "allkeys-lru").as_deref(), Some("allkeys-lru"));
        assert_eq!(said("100", "volatile-ttl").as_deref(), Some("volatile-ttl"));
        assert_eq!(said("100", "noeviction"), None);
        assert_eq!(said("0", "allkeys-lru"), None, "without a limit nothing is ever full");
        assert_eq!(policy(""), None);
    }
}
