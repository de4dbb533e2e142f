//! A task belongs to one line of one scheduler: two of them call twice, and each thinks that it is alone.

use super::Facts;
use crate::crontab::CallIdentity;
use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::problem::{Problem, Rule, report};

/// Settings that decide where a call goes and as whom, beside the line itself.
const ELSEWHERE: [&str; 8] = [
    "API_BASE_URL",
    "QS_API__BASE_URL",
    "IAM_USERNAME",
    "QS_IAM__USERNAME",
    "IAM_TENANT_ID",
    "QS_IAM__TENANT_ID",
    "IAM_CLIENT_ID",
    "QS_IAM__CLIENT_ID",
];
/// The setting of the directory that locks, records and metrics are in.
const STATE_DIR: &str = "QS_STATE__DIR";

/// A task that another crontab has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The task's name.
    pub task: String,
    /// Where it is: `/etc/cron.d/other, line 3`.
    pub place: String,
    /// As whom it runs, if its file says so.
    pub user: Option<String>,
    /// Where its locks, records and metrics are, if its file says so.
    pub state_dir: Option<String>,
    /// Which call it makes.
    pub identity: CallIdentity,
}

impl Owner {
    /// What an entry has; nothing if it is no call.
    pub fn of(entry: &CrontabEntry, place: impl Into<String>) -> Option<Self> {
        let call = entry.call()?;
        let named = call.line.common.state_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        Some(Self {
            task: entry.task(),
            place: place.into(),
            user: entry.user.clone(),
            state_dir: named.or_else(|| setting(entry, call, STATE_DIR).map(str::to_owned)),
            identity: identity(entry, call),
        })
    }

    /// Whether both write into one lock, one record and one file of metrics: those are each user's own, unless told.
    fn shares_with(&self, other: &Self) -> bool {
        let one_user = self.user == other.user || self.user.is_none() || other.user.is_none();
        self.state_dir == other.state_dir && (one_user || self.state_dir.is_some())
    }
}

/// Which call an entry makes, as far as the file says it.
fn identity(entry: &CrontabEntry, call: &Call) -> CallIdentity {
    let config = call.line.common.config.as_ref().map(|path| path.to_string_lossy());
    let input = entry.command.input.as_deref();
    let mut elsewhere: Vec<(&str, &str)> = Vec::new();
    elsewhere.extend(config.as_deref().map(|path| ("config", path)));
    elsewhere.extend(input.map(|text| ("input", text)));
    elsewhere.extend(ELSEWHERE.iter().filter_map(|name| Some((*name, setting(entry, call, name)?))));
    let server = elsewhere.iter().find(|(name, _)| name.ends_with("BASE_URL")).map_or("", |(_, value)| value);
    call.line.invocation.identity(server, &elsewhere)
}

/// A setting as the call finds it: before it in the line, else above.
fn setting<'a>(entry: &'a CrontabEntry, call: &'a Call, name: &str) -> Option<&'a str> {
    let before = call.assignments.iter().rfind(|(before, _)| before == name).map(|(_, value)| value.as_str());
    before.or_else(|| entry.setting(name))
}

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let calls: Vec<(usize, Owner)> = crontab
        .entries()
        .filter_map(|entry| Some((entry.line, Owner::of(entry, format!("line {}", entry.line))?)))
        .collect();
    for (index, (line, mine)) in calls.iter().enumerate() {
        let task = &mine.task;
        for other in facts.others.iter().filter(|other| other.task == *task) {
            if !other.identity.differs(&mine.identity) {
                let found = format!("the task {task}, which {} has too: both would call it", other.place);
                report(problems, Rule::TwoOwners, *line, found).fix("remove one of the two");
            } else if other.shares_with(mine) {
                same_task(*line, mine, other, problems);
            }
        }
        let earlier = calls[..index].iter().map(|(_, earlier)| earlier);
        let mut alike = earlier.filter(|earlier| earlier.task == *task);
        // Another call of another user has nothing in common but the name.
        if let Some(first) =
            alike.find(|first| first.shares_with(mine) || !first.identity.differs(&mine.identity))
        {
            same_task(*line, mine, first, problems);
        }
    }
}

/// Two lines under one name, of which the second is told.
fn same_task(line: usize, mine: &Owner, other: &Owner, problems: &mut Vec<Problem>) {
    let (task, place) = (&mine.task, &other.place);
    let found = if other.identity.differs(&mine.identity) {
        format!(
            "the task {task}, which {place} has for another call ({}): they share its lock, records and metrics, and while one runs the other fails",
            // What stands in a query may not be for everybody.
            other.identity.call.split('?').next().unwrap_or_default()
        )
    } else {
        format!("the task {task}, which {place} has too: they share its lock, records and metrics")
    };
    report(problems, Rule::SameTask, line, found).fix(format!("--task {task}-2, if they are two tasks"));
}
