//! Settings, and what cron makes of them.

use jiff::tz::TimeZone;

use super::reader::{Reader, columns};
use crate::crontab::environment::{self, Setting};
use crate::crontab::problem::Rule;
use crate::domain::cron::{CronDialect, CronExpr};

impl Reader {
    pub(super) fn setting(&mut self, number: usize, text: &str, setting: &Setting) {
        let Setting { name, value } = setting;
        self.setting_name(number, name);
        if holds_an_entry(value) {
            let found = format!("an entry behind {name}=, all of which becomes the value");
            self.report(Rule::MisreadSetting, number, found)
                .expected("the value alone")
                .fix("write the setting and the entry in two lines");
        } else if let Some(lost) = environment::lost(text, setting) {
            self.report(Rule::MisreadSetting, number, lost).fix(format!("{name}={value}"));
        }
        match name.as_str() {
            "CRON_TZ" => self.zone_setting(number, setting),
            "SHELL" if !value.starts_with('/') || value.contains([' ', '\t']) => {
                self.report(Rule::Shell, number, format!("{value:?}, which cron cannot start"))
                    .expected("the full path of a shell, without options")
                    .fix("SHELL=/bin/sh");
            }
            "PATH" if value.is_empty() => {
                self.report(Rule::Path, number, "an empty PATH, in which no program is found")
                    .fix("PATH=/usr/local/bin:/usr/bin:/bin");
            }
            _ => self.expansion(number, text, setting),
        }
        self.environment.retain(|other| other.name != *name);
        self.environment.push(setting.clone());
    }

    fn setting_name(&mut self, number: usize, name: &str) {
        let mut chars = name.chars();
        let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        if !first || !chars.all(|c| c.is_alphanumeric() || c == '_') {
            self.report(Rule::MisreadSetting, number, format!("the name {name:?}"))
                .expected("a name of letters, digits and '_'")
                .fix("write NAME=value");
        }
        match name {
            "RANDOM_DELAY" | "START_HOURS_RANGE" if self.dialect() == CronDialect::Debian => {
                let found =
                    format!("{name}, which is cronie's; Debian's cron passes it on without looking at it");
                self.report(Rule::ForeignSetting, number, found).fix("give the call --jitter");
            }
            "LOGNAME" => {
                let found = "LOGNAME, which cron sets to the entry's user, whatever stands here";
                self.report(Rule::ForeignSetting, number, found).fix("remove it");
            }
            "TZ" => {
                let found =
                    "TZ is the zone of the command; when it runs is decided in the zone of the machine";
                self.report(Rule::Tz, number, found).fix("remove it, unless the command needs it");
            }
            _ => {}
        }
    }

    /// Cron expands nothing in a value, though the value may look as if a shell should.
    fn expansion(&mut self, number: usize, text: &str, setting: &Setting) {
        let Setting { name, value } = setting;
        let what = if value.contains("$(") || value.contains('`') {
            "the output of a command".to_owned()
        } else if value.starts_with("~/") {
            "a home directory".to_owned()
        } else if let Some(variable) = variable(value) {
            format!("the variable {variable}")
        } else {
            return;
        };
        let start = text.find(['$', '`', '~']).unwrap_or_default();
        let found = format!("{what} in {name}, which cron passes on as it stands");
        self.report(Rule::NotExpanded, number, found)
            .at(columns(text, start, text.trim_end().len()))
            .fix("write the value itself, or set it in the configuration");
    }

    fn zone_setting(&mut self, number: usize, setting: &Setting) {
        let value = &setting.value;
        if self.dialect() == CronDialect::Debian {
            let found = format!("CRON_TZ={value}, which Debian's cron passes on without looking at it");
            self.report(Rule::CronTz, number, found).fix(
                "remove it and write the times in the zone of the machine, or run the file by qs-scheduler",
            );
        }
        match TimeZone::get(value) {
            Ok(zone) => self.zone = Some((zone.iana_name().unwrap_or(value).to_owned(), zone)),
            Err(_) => self.unknown_zone(number, value, "CRON_TZ=Asia/Shanghai"),
        }
    }
}

/// Whether a value goes on with five time fields and more, as other schedulers write a zone before an entry.
fn holds_an_entry(value: &str) -> bool {
    let words: Vec<&str> = value.split_whitespace().collect();
    let is_time = |from: usize| {
        words.len() > from + 5
            && CronExpr::parse(&words[from..from + 5].join(" "), CronDialect::Debian, 0).is_ok()
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
