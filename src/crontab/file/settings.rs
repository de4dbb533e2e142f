//! Settings, and what cron makes of them.

use jiff::tz::TimeZone;

use super::reader::{Reader, columns};
use crate::crontab::environment::{self, Setting};
use crate::crontab::problem::{Problem, Rule};
use crate::domain::cron::{CronExpr, Dialect};

impl Reader {
    pub(super) fn setting(&mut self, number: usize, text: &str, setting: &Setting) {
        let Setting { name, value } = setting;
        self.setting_name(number, name);
        if holds_an_entry(value) {
            let found = format!("an entry behind {name}=, all of which becomes the value");
            let problem = Problem::new(Rule::MisreadSetting, number, found).expected("the value alone");
            self.problem(problem.fix("write the setting and the entry in two lines"));
        } else if let Some(lost) = environment::lost(text, setting) {
            self.problem(Problem::new(Rule::MisreadSetting, number, lost).fix(format!("{name}={value}")));
        }
        match name.as_str() {
            "CRON_TZ" => self.zone_setting(number, setting),
            "SHELL" if !value.starts_with('/') || value.contains([' ', '\t']) => {
                let problem =
                    Problem::new(Rule::Shell, number, format!("{value:?}, which cron cannot start"));
                self.problem(
                    problem.expected("the full path of a shell, without options").fix("SHELL=/bin/sh"),
                );
            }
            "PATH" if value.is_empty() => {
                let found = "an empty PATH, in which no program is found";
                self.problem(
                    Problem::new(Rule::Path, number, found).fix("PATH=/usr/local/bin:/usr/bin:/bin"),
                );
            }
            _ if value.contains("$(") || value.contains('`') => {
                self.not_expanded(number, text, setting, "the output of a command");
            }
            _ if value.starts_with("~/") => self.not_expanded(number, text, setting, "a home directory"),
            _ => {
                if let Some(variable) = variable(value) {
                    self.not_expanded(number, text, setting, &format!("the variable {variable}"));
                }
            }
        }
        self.environment.retain(|other| other.name != *name);
        self.environment.push(setting.clone());
    }

    pub(super) fn setting_name(&mut self, number: usize, name: &str) {
        let mut chars = name.chars();
        let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        if !first || !chars.all(|c| c.is_alphanumeric() || c == '_') {
            let problem = Problem::new(Rule::MisreadSetting, number, format!("the name {name:?}"));
            self.problem(problem.expected("a name of letters, digits and '_'").fix("write NAME=value"));
        }
        let cron = self.dialect() == Dialect::Cron;
        match name {
            "RANDOM_DELAY" | "START_HOURS_RANGE" if cron => {
                let found =
                    format!("{name}, which is cronie's; Debian's cron passes it on without looking at it");
                self.problem(Problem::new(Rule::ForeignSetting, number, found).fix("give the call --jitter"));
            }
            "LOGNAME" => {
                let found = "LOGNAME, which cron sets to the entry's user, whatever stands here";
                self.problem(Problem::new(Rule::ForeignSetting, number, found).fix("remove it"));
            }
            "TZ" => {
                let found =
                    "TZ is the zone of the command; when it runs is decided in the zone of the machine";
                self.problem(
                    Problem::new(Rule::Tz, number, found).fix("remove it, unless the command needs it"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn not_expanded(&mut self, number: usize, text: &str, setting: &Setting, what: &str) {
        let found = format!("{what} in {}, which cron passes on as it stands", setting.name);
        let start = text.find(['$', '`', '~']).unwrap_or_default();
        let problem =
            Problem::new(Rule::NotExpanded, number, found).at(columns(text, start, text.trim_end().len()));
        self.problem(problem.fix("write the value itself, or set it in the configuration"));
    }

    pub(super) fn zone_setting(&mut self, number: usize, setting: &Setting) {
        if self.dialect() == Dialect::Cron {
            let found =
                format!("CRON_TZ={}, which Debian's cron passes on without looking at it", setting.value);
            let fix =
                "remove it and write the times in the zone of the machine, or run the file by qs-scheduler";
            self.problem(Problem::new(Rule::CronTz, number, found).fix(fix));
        }
        match TimeZone::get(&setting.value) {
            Ok(zone) => {
                let name = zone.iana_name().unwrap_or(&setting.value).to_owned();
                self.zone = Some((name, zone));
            }
            Err(_) => self.unknown_zone(number, &setting.value, "CRON_TZ=Asia/Shanghai"),
        }
    }
}

/// Whether a value goes on with five time fields and more, as other schedulers write a zone before an entry.
fn holds_an_entry(value: &str) -> bool {
    let words: Vec<&str> = value.split_whitespace().collect();
    let is_time = |from: usize| {
        words.len() > from + 5 && CronExpr::parse(&words[from..from + 5].join(" "), Dialect::Cron, 0).is_ok()
    };
    is_time(0) || is_time(1)
}

/// `$NAME` or `${NAME}` in a value.
fn variable(value: &str) -> Option<&str> {
    let start = value.find('$')?;
    let rest = &value[start + 1..];
    let length = match rest.strip_prefix('{') {
        Some(inner) => inner.find('}')? + 2,
        None => rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len()),
    };
    (length > 0).then(|| &value[start..=start + length])
}
