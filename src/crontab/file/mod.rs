//! A crontab as lines with meaning: settings, entries, comments, and what is wrong with any of them.
//!
//! Lines are read as Debian's cron 3.0pl1 reads them (`misc.c`, `env.c`, `entry.c`), and everything that it refuses,
//! skips without a word or reads differently than it is written becomes a [`Problem`].

mod commands;
mod entries;
mod reader;
mod settings;

pub use entries::is_user_name;

use jiff::tz::TimeZone;

use super::call::{self, Reading};
use super::command::Command;
use super::environment::Setting;
use super::problem::{Problem, Rule, Severity};
use crate::domain::cron::CronDialect;
use crate::domain::schedule::Schedule;

/// The last line that may say something. crontab(5) allows 10,000; the daemon has three to spare and skips comments.
pub const MAX_LINES: usize = 10_003;
/// Longest command, in bytes.
pub const MAX_COMMAND: usize = 998;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Format {
    /// By whom it will be run.
    pub dialect: CronDialect,
    /// Whether the user stands between the time and the command, as in `/etc/cron.d`.
    pub user_column: bool,
    /// The zone of the times.
    pub zone: TimeZone,
    /// Whether that stands, whatever the file states.
    pub fixed_zone: bool,
}

impl Format {
    /// As Debian's cron reads its file in `/etc/cron.d`, with the times in this zone unless the file states another.
    pub fn system(zone: TimeZone) -> Self {
        Self { dialect: CronDialect::Debian, user_column: true, zone, fixed_zone: false }
    }
}

/// One line that runs something.
#[derive(Clone, Debug)]
pub struct CrontabEntry {
    /// Its line, from 1.
    pub line: usize,
    /// When it runs.
    pub schedule: Schedule,
    /// The zone's name, when a `CRON_TZ` before it set one.
    pub zone: Option<String>,
    /// As whom, if the file has that column.
    pub user: Option<String>,
    /// What runs.
    pub command: Command,
    /// The first column of the command, in characters.
    pub command_column: usize,
    /// What the command is.
    pub reading: Reading,
    /// The settings above it; the last one of a name counts.
    pub environment: Vec<Setting>,
    /// Where the time stands, in characters.
    pub time_columns: std::ops::Range<usize>,
}

impl CrontabEntry {
    /// The call, if it is one.
    pub fn call(&self) -> Option<&call::Call> {
        match &self.reading {
            Reading::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The task's name: that of the call, else the line's number.
    pub fn task(&self) -> String {
        self.call().map_or_else(|| format!("line-{}", self.line), |call| call.line.invocation.task_name())
    }

    /// The value of a setting above it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }
}

/// What a line is.
#[derive(Clone, Debug)]
pub enum Line {
    /// Nothing, or blanks.
    Blank,
    /// A comment, with its `#`.
    Comment(String),
    /// A setting for the entries below it.
    Setting(Setting),
    /// Something that runs.
    Entry(Box<CrontabEntry>),
    /// Something that cannot be read; the problems say why.
    Broken,
}

impl Line {
    /// The byte at which the command of an entry begins in the line's text.
    pub fn command_at(&self, text: &str) -> Option<usize> {
        let Line::Entry(entry) = self else { return None };
        text.char_indices().nth(entry.command_column.checked_sub(1)?).map(|(at, _)| at)
    }
}

/// A crontab that has been read.
#[derive(Clone, Debug)]
pub struct Crontab {
    /// Its lines, from the first.
    pub lines: Vec<Line>,
    /// The text of each line, without its line break.
    pub texts: Vec<String>,
    /// What is wrong with the text. Rules about hosts and calls are in [`super::lint`].
    pub problems: Vec<Problem>,
    /// How it was read.
    pub format: Format,
    /// The zone that a `# qs: zone=` states, and its line.
    pub stated_zone: Option<(usize, String)>,
}

impl Crontab {
    /// Reads a file. Reading goes on after a mistake, so that every one is reported.
    pub fn parse(source: &[u8], format: Format) -> Self {
        let mut reader = reader::Reader {
            crontab: Self { lines: vec![], texts: vec![], problems: vec![], format, stated_zone: None },
            environment: Vec::new(),
            zone: None,
            seconds: None,
        };
        let source = match std::str::from_utf8(source) {
            Ok(text) => std::borrow::Cow::Borrowed(text),
            Err(error) => {
                let line = source[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                reader.report(Rule::NotUtf8, line, "text that is not UTF-8").fix("save the file as UTF-8");
                String::from_utf8_lossy(source)
            }
        };
        reader.file(&source);
        reader.crontab
    }

    /// The lines that run something.
    pub fn entries(&self) -> impl Iterator<Item = &CrontabEntry> {
        self.lines.iter().filter_map(|line| if let Line::Entry(entry) = line { Some(&**entry) } else { None })
    }

    /// Whether nothing is wrong with it that keeps a line from running as it is written.
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity < Severity::Error)
    }
}

/// The file as it was read, with a newline behind every line.
impl std::fmt::Display for Crontab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.texts.iter().try_for_each(|text| writeln!(f, "{text}"))
    }
}
