//! The targets that calls name: whether the configuration that they will read has them. A name that can be no target's is
//! a wrong argument already.

use super::Facts;
use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::problem::{Problem, Rule, report};
use crate::domain::target::instead;

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    for entry in crontab.entries() {
        let Some(call) = entry.call() else { continue };
        let Some(name) = call.line.invocation.target.as_deref() else { continue };
        let config = call.line.common.config.as_ref().and_then(|path| path.to_str());
        let of_host = || facts.host.and_then(|host| host.targets(entry.user.as_deref(), config));
        let Some(known) = facts.targets.map(<[String]>::to_vec).or_else(of_host) else { continue };
        if known.iter().any(|known| known == name) || sets(entry, call, name) {
            continue;
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let found = format!("the target {name:?}, which the configuration does not have");
        report(problems, Rule::UnknownTarget, entry.line, found).fix(instead(name, &known));
    }
}

/// Whether the environment of the line makes the target.
fn sets(entry: &CrontabEntry, call: &Call, name: &str) -> bool {
    let prefix = format!("QS_TARGETS__{}__", name.replace('-', "_").to_ascii_uppercase());
    let above = entry.environment.iter().map(|setting| setting.name.as_str());
    let before = call.assignments.iter().map(|(name, _)| name.as_str());
    above.chain(before).any(|name| name.starts_with(&prefix))
}
