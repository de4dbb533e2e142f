//! A crontab as lines with meaning: settings, entries, comments, and what is wrong with any of them.
//!
//! Lines are read as Debian's cron 3.0pl1 reads them (`misc.c`, `env.c`, `entry.c`), and everything that it refuses,
//! skips without a word or reads differently than it is written becomes a [`Problem`].

use jiff::tz::TimeZone;

use super::call::{self, Reading};
use super::command::Command;
use super::environment::{self, Setting};
use super::problem::{Problem, Rule, Severity};
use crate::domain::cron::{self, CronError, CronErrorKind, CronExpr, Dialect, Field};
use crate::domain::schedule::Schedule;

/// The last line that may say something. crontab(5) allows 10,000; the daemon has three to spare and skips comments.
pub const MAX_LINES: usize = 10_003;
/// Longest command, in bytes.
pub const MAX_COMMAND: usize = 998;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Format {
    /// By whom it will be run.
    pub dialect: Dialect,
    /// Whether the user stands between the time and the command, as in `/etc/cron.d`.
    pub user_column: bool,
    /// The zone of the times.
    pub zone: TimeZone,
    /// Whether that stands, whatever the file states.
    pub fixed_zone: bool,
}

/// One line that runs something.
#[derive(Clone, Debug)]
pub struct Entry {
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

impl Entry {
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
    Entry(Box<Entry>),
    /// Something that cannot be read; the problems say why.
    Broken,
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
        let mut reader = Reader {
            crontab: Self {
                lines: Vec::new(),
                texts: Vec::new(),
                problems: Vec::new(),
                format,
                stated_zone: None,
            },
            environment: Vec::new(),
            zone: None,
            seconds: None,
        };
        let source = match std::str::from_utf8(source) {
            Ok(text) => std::borrow::Cow::Borrowed(text),
            Err(error) => {
                let line = source[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                reader.problem(
                    Problem::new(Rule::NotUtf8, line, "text that is not UTF-8").fix("save the file as UTF-8"),
                );
                String::from_utf8_lossy(source)
            }
        };
        reader.file(&source);
        reader.crontab
    }

    /// The lines that run something.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(&**entry),
            _ => None,
        })
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

struct Reader {
    crontab: Crontab,
    environment: Vec<Setting>,
    zone: Option<(String, TimeZone)>,
    /// What a `# qs: fields=` says.
    seconds: Option<bool>,
}

impl Reader {
    fn problem(&mut self, problem: Problem) {
        self.crontab.problems.push(problem);
    }

    fn dialect(&self) -> Dialect {
        self.crontab.format.dialect
    }

    fn file(&mut self, source: &str) {
        let source = source.strip_prefix('\u{feff}').map_or(source, |rest| {
            let problem =
                Problem::new(Rule::ByteOrderMark, 1, "a byte order mark, which makes cron refuse the file");
            self.problem(problem.fix("save the file as UTF-8 without a byte order mark"));
            rest
        });
        let mut texts: Vec<&str> = source.split('\n').collect();
        let last = texts.pop().unwrap_or_default();
        if !last.is_empty() {
            texts.push(last);
            // Cron looks for the newline of a line that it reads; a comment or blanks may end the file without one.
            if !matches!(last.trim_start_matches([' ', '\t']).chars().next(), None | Some('#')) {
                let found = "no newline behind the last line, for which cron ignores the whole file";
                self.problem(
                    Problem::new(Rule::NoNewline, texts.len(), found).fix("end the file with a newline"),
                );
            }
        }
        for (index, text) in texts.iter().enumerate() {
            let line = self.line(index + 1, text.strip_suffix('\r').unwrap_or(text));
            self.crontab.lines.push(line);
            self.crontab.texts.push((*text).to_owned());
        }
        self.carriage_returns();
        self.length();
        self.unused_settings();
    }

    fn length(&mut self) {
        let says = |line: &Line| !matches!(line, Line::Blank | Line::Comment(_));
        let last = self.crontab.lines.iter().rposition(says).map_or(0, |index| index + 1);
        if last > MAX_LINES {
            let found = format!("{last} lines, for which cron ignores the whole file");
            self.problem(
                Problem::new(Rule::TooManyLines, 0, found).expected("at most 10000").fix("split the file"),
            );
        }
    }

    fn unused_settings(&mut self) {
        let last_entry =
            self.crontab.lines.iter().rposition(|line| matches!(line, Line::Entry(_) | Line::Broken));
        let below = self.crontab.lines.iter().enumerate().skip(last_entry.map_or(0, |index| index + 1));
        let unused: Vec<(usize, String)> = below
            .filter_map(|(index, line)| match line {
                Line::Setting(setting) => Some((index + 1, setting.name.clone())),
                _ => None,
            })
            .collect();
        for (line, name) in unused.into_iter().filter(|_| last_entry.is_some()) {
            let found = format!("{name} below every entry, where it counts for none");
            self.problem(Problem::new(Rule::UnusedSetting, line, found).fix("move it above the entries"));
        }
    }

    /// One problem for the whole file: somebody saved it on Windows. Cron drops the character from settings alone.
    fn carriage_returns(&mut self) {
        let crontab = &self.crontab;
        let all = crontab.texts.iter().zip(&crontab.lines).enumerate();
        let with: Vec<(usize, &Line)> = all
            .filter(|(_, (text, _))| text.ends_with('\r'))
            .map(|(index, (_, line))| (index + 1, line))
            .collect();
        let hurts = with.iter().find(|(_, line)| !matches!(line, Line::Setting(_) | Line::Comment(_)));
        let Some((line, _)) = hurts.or(with.first()).copied() else { return };
        let (severity, effect) = match hurts {
            Some((_, Line::Blank)) => (Severity::Error, "for which cron ignores the whole file"),
            Some(_) => (Severity::Error, "which becomes part of the command's last argument"),
            None => (Severity::Warning, "which becomes part of an argument as soon as an entry has it"),
        };
        let lines = if with.len() == 1 { "1 line".to_owned() } else { format!("{} lines", with.len()) };
        let found = format!("a carriage return at the end of {lines}, {effect}");
        let problem = Problem { severity, ..Problem::new(Rule::CarriageReturn, line, found) };
        self.problem(problem.fix("convert the file: sed -i 's/\\r$//' FILE"));
    }

    fn line(&mut self, number: usize, text: &str) -> Line {
        let body = text.trim_start_matches([' ', '\t']);
        if body.is_empty() {
            return Line::Blank;
        }
        if body.starts_with('#') {
            self.directive(number, body);
            return Line::Comment(body.to_owned());
        }
        if body.contains('\0') {
            self.problem(Problem::new(Rule::NulByte, number, "a NUL byte").fix("remove it"));
            return Line::Broken;
        }
        if let Some(setting) = environment::setting(text) {
            self.setting(number, text, &setting);
            return Line::Setting(setting);
        }
        self.entry(number, text).map_or(Line::Broken, |entry| Line::Entry(Box::new(entry)))
    }

    /// `# qs: fields=6` settles what a line with six words that could be fields is; `# qs: zone=…` states the zone in
    /// which the times are meant.
    fn directive(&mut self, number: usize, comment: &str) {
        let Some(directive) = comment.strip_prefix("# qs:").map(str::trim) else { return };
        let zone = directive.strip_prefix("zone=");
        match (directive, zone.map(TimeZone::get)) {
            ("fields=5", _) => self.seconds = Some(false),
            ("fields=6", _) => self.seconds = Some(true),
            (_, Some(Ok(zone))) => {
                self.crontab.stated_zone = Some((number, directive["zone=".len()..].to_owned()));
                if !self.crontab.format.fixed_zone {
                    self.crontab.format.zone = zone;
                }
            }
            (_, Some(Err(_))) => {
                self.unknown_zone(number, &directive["zone=".len()..], "# qs: zone=Asia/Shanghai");
            }
            (other, None) => {
                let problem = Problem::new(Rule::UnknownDirective, number, format!("{other:?}"));
                let expected = "# qs: fields=5, # qs: fields=6 or # qs: zone=NAME";
                self.problem(
                    problem.expected(expected).fix("remove it, or begin the comment with another word"),
                );
            }
        }
    }

    fn unknown_zone(&mut self, number: usize, name: &str, fix: &str) {
        let problem = Problem::new(Rule::UnknownZone, number, format!("the zone {name:?}"));
        self.problem(problem.expected("a name of the tz database").fix(fix));
    }

    fn setting(&mut self, number: usize, text: &str, setting: &Setting) {
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

    fn setting_name(&mut self, number: usize, name: &str) {
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

    fn not_expanded(&mut self, number: usize, text: &str, setting: &Setting, what: &str) {
        let found = format!("{what} in {}, which cron passes on as it stands", setting.name);
        let start = text.find(['$', '`', '~']).unwrap_or_default();
        let problem =
            Problem::new(Rule::NotExpanded, number, found).at(columns(text, start, text.trim_end().len()));
        self.problem(problem.fix("write the value itself, or set it in the configuration"));
    }

    fn zone_setting(&mut self, number: usize, setting: &Setting) {
        if self.dialect() == Dialect::Cron {
            let found =
                format!("CRON_TZ={}, which Debian's cron passes on without looking at it", setting.value);
            let fix =
                "remove it and write the times in the zone of the machine, or run the file by qs-scheduler";
            self.problem(Problem::new(Rule::CronTz, number, found).fix(fix));
        }
        match TimeZone::get(&setting.value) {
            Ok(zone) => self.zone = Some((setting.value.clone(), zone)),
            Err(_) => self.unknown_zone(number, &setting.value, "CRON_TZ=Asia/Shanghai"),
        }
    }

    fn entry(&mut self, number: usize, text: &str) -> Option<Entry> {
        let words = cron::words(text);
        let count = self.time_words(number, text, &words)?;
        let (start, end) = (words[0].0, words[count - 1].0 + words[count - 1].1.len());
        let time = &text[start..end];
        let seed = seed(text);
        let schedule = if time == "@reboot" {
            Schedule::Reboot
        } else {
            // A line whose time is wrong may have its words in other places than they seem; one problem is enough.
            let expr = CronExpr::parse(time, self.dialect(), seed)
                .inspect_err(|error| self.time_error(number, text, start, error))
                .ok()?;
            let zone = self.zone.as_ref().map_or(&self.crontab.format.zone, |(_, zone)| zone).clone();
            Schedule::Cron { expr, zone }
        };
        let (user, command_at) = self.user(number, text, &words, count)?;
        let command = self.command(number, text, command_at)?;
        Some(Entry {
            line: number,
            schedule,
            zone: self.zone.as_ref().map(|(name, _)| name.clone()),
            user,
            reading: call::read(&command.shell),
            command,
            command_column: column(text, command_at),
            environment: self.environment.clone(),
            time_columns: columns(text, start, end),
        })
    }

    /// How many words the time has: one nickname, five fields, or six.
    fn time_words(&mut self, number: usize, text: &str, words: &[(usize, &str)]) -> Option<usize> {
        if words[0].1.starts_with('@') {
            return Some(1);
        }
        if words.len() < 5 {
            let found = format!("{} words: neither a setting (NAME=value) nor an entry", words.len());
            let expected = "five time fields, the user and a command";
            let fix = if text.contains('=') {
                "quote the value: NAME=\"\""
            } else {
                "begin the line with # to make it a comment"
            };
            self.problem(Problem::new(Rule::NotALine, number, found).expected(expected).fix(fix));
            return None;
        }
        let six = self.six(text, words);
        match (six, self.dialect()) {
            (Six::No, _) | (Six::Perhaps(..), Dialect::Cron) => Some(5),
            (_, Dialect::Scheduler) if self.seconds.is_some() => {
                Some(if self.seconds == Some(true) { 6 } else { 5 })
            }
            (Six::Surely, Dialect::Scheduler) => Some(6),
            (Six::Perhaps(first, second), Dialect::Scheduler) => {
                let found =
                    format!("six words that can be time fields: with five, {first}; with six, {second}");
                let fix = "write `# qs: fields=5` or `# qs: fields=6` in a line above";
                let problem = Problem::new(Rule::AmbiguousFields, number, found).expected("one reading");
                self.problem(problem.at(columns(text, words[0].0, words[5].0 + words[5].1.len())).fix(fix));
                None
            }
            (Six::Surely, Dialect::Cron) => {
                let fields: Vec<&str> = words[..6].iter().map(|(_, word)| *word).collect();
                let reading = CronExpr::parse(&fields.join(" "), Dialect::Scheduler, 0)
                    .map(|expr| expr.describe())
                    .unwrap_or_default();
                let found = format!("six time fields; qs-scheduler reads them with seconds first: {reading}");
                let problem = Problem::new(Rule::SixFields, number, found)
                    .expected("five, which is all that cron knows");
                self.problem(
                    problem
                        .at(columns(text, words[0].0, words[5].0 + words[5].1.len()))
                        .fix(format!("{}, or check the file with --for qs-scheduler", fields[1..].join(" "))),
                );
                None
            }
        }
    }

    /// Whether the sixth word is a time field too. A user can be called `mon`, a program `7`; then both readings stand.
    fn six(&self, text: &str, words: &[(usize, &str)]) -> Six {
        let Some((at, _)) = words.get(5) else { return Six::No };
        let fields =
            |count: usize| text[words[0].0..words[count - 1].0 + words[count - 1].1.len()].to_owned();
        let Ok(second) = CronExpr::parse(&fields(6), Dialect::Scheduler, 0) else { return Six::No };
        let user_column = self.crontab.format.user_column;
        let enough = words.len() > 6 + usize::from(user_column);
        if !enough {
            return Six::No;
        }
        let first = CronExpr::parse(&fields(5), Dialect::Scheduler, 0).ok();
        let follows = if user_column { is_user_name(words[5].1) } else { !text[*at..].starts_with('*') };
        match first {
            Some(first) if follows => {
                let what = if user_column {
                    format!("as user {}", words[5].1)
                } else {
                    format!("the command {:?}", &text[*at..])
                };
                Six::Perhaps(format!("{}, {what}", first.describe()), second.describe())
            }
            _ => Six::Surely,
        }
    }

    fn time_error(&mut self, number: usize, text: &str, start: usize, error: &CronError) {
        let rule = match error.kind {
            CronErrorKind::Field | CronErrorKind::FieldCount | CronErrorKind::Nickname => Rule::BadTime,
            CronErrorKind::Misread => Rule::MisreadTime,
            CronErrorKind::NeverFires => Rule::NeverFires,
        };
        let about = error.field.map_or("", Field::name);
        let problem = Problem::new(rule, number, error.found.clone()).about(about);
        let at =
            columns(text, start + error.at.start, (start + error.at.end).max(start + error.at.start + 1));
        self.problem(problem.at(at).expected(error.expected.clone()).fix(error.fix.clone()));
    }

    /// The user, if the file has that column, and where the command begins.
    fn user(
        &mut self,
        number: usize,
        text: &str,
        words: &[(usize, &str)],
        count: usize,
    ) -> Option<(Option<String>, usize)> {
        let Some((at, word)) = words.get(count) else {
            let problem = Problem::new(Rule::NoCommand, number, "nothing behind the time");
            self.problem(
                problem.expected(self.behind_the_time()).fix("add what is to run, or remove the line"),
            );
            return None;
        };
        if !self.crontab.format.user_column {
            if word.starts_with('*') && self.dialect() == Dialect::Cron {
                let problem =
                    Problem::new(Rule::NoCommand, number, format!("{word:?} where the command begins"));
                self.problem(
                    problem
                        .at(columns(text, *at, at + word.len()))
                        .expected("a command")
                        .fix("five time fields, then the command"),
                );
                return None;
            }
            return Some((None, *at));
        }
        if !is_user_name(word) {
            let problem = Problem::new(Rule::NoUser, number, format!("{word:?} where the user belongs"));
            let fix = format!(
                "{} root {}",
                &text[words[0].0..words[count - 1].0 + words[count - 1].1.len()],
                &text[*at..]
            );
            self.problem(problem.at(columns(text, *at, at + word.len())).expected("a user's name").fix(fix));
            return None;
        }
        let Some((command_at, _)) = words.get(count + 1) else {
            let problem = Problem::new(Rule::NoCommand, number, format!("nothing behind the user {word:?}"));
            let fix = "add what is to run; a crontab without the user column is read with --user-crontab";
            self.problem(problem.expected("a command").fix(fix));
            return None;
        };
        if words[count + 1].1 == *word {
            let found = format!("the user {word:?} twice: the second one would be the command");
            let problem = Problem::new(Rule::UserTwice, number, found);
            self.problem(
                problem.at(columns(text, *command_at, command_at + word.len())).fix("remove one of them"),
            );
        }
        Some((Some((*word).to_owned()), *command_at))
    }

    fn behind_the_time(&self) -> &'static str {
        if self.crontab.format.user_column { "the user and a command" } else { "a command" }
    }

    fn command(&mut self, number: usize, text: &str, at: usize) -> Option<Command> {
        let command = Command::new(&text[at..]);
        // Behind a user cron skips one blank; further ones are part of the command.
        let before = &text[..at];
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let length =
            text.len() - at + if self.crontab.format.user_column { blanks.saturating_sub(1) } else { 0 };
        if length > MAX_COMMAND {
            let problem = Problem::new(Rule::LongCommand, number, format!("a command of {length} bytes"));
            self.problem(
                problem.expected(format!("at most {MAX_COMMAND}")).fix("put it into a script and call that"),
            );
            return None;
        }
        self.percent(number, text, at, &command);
        self.backslashes(number, text, at);
        Some(command)
    }

    /// Whether a `%` is meant to feed the command is seen by what stands around it; a call takes `--data`.
    fn percent(&mut self, number: usize, text: &str, at: usize, command: &Command) {
        let (Some(percent), Some(input)) = (command.percent, &command.input) else { return };
        let (before, behind) = (&text[at..at + percent], &text[at + percent + 1..]);
        let date = before.ends_with('+');
        let words = shlex::split(before);
        let in_argument = words.as_ref().is_some_and(|words| words.len() > 1);
        let escape =
            in_argument && behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        let torn = words.is_none_or(|words| words.is_empty());
        let call = !matches!(call::read(&command.shell), Reading::Other);
        let severity = if date || escape || torn || call { Severity::Error } else { Severity::Warning };
        let found = format!("an unescaped '%', at which cron ends the command and feeds it {input:?}");
        let problem = Problem { severity, ..Problem::new(Rule::Percent, number, found) };
        let problem = problem.at(columns(text, at + percent, at + percent + 1)).expected("\\%");
        self.problem(problem.fix(text[at..].replace("\\%", "%").replace('%', "\\%")));
    }

    fn backslashes(&mut self, number: usize, text: &str, at: usize) {
        let command = &text[at..];
        let last = command.len() - command.trim_end_matches('\\').len();
        let found = if last % 2 == 1 {
            "a backslash at the end: for cron the next line is another one, and the command ends here"
        } else if command.contains("\\\\") {
            "two backslashes, of which cron gives the shell one"
        } else {
            return;
        };
        let start =
            if last % 2 == 1 { text.len() - 1 } else { at + command.find("\\\\").unwrap_or_default() };
        let problem =
            Problem::new(Rule::Backslash, number, found).at(columns(text, start, text.len().min(start + 2)));
        self.problem(problem.fix("put the command into a script and call that"));
    }
}

/// What six words at the beginning of a line are.
enum Six {
    /// Five fields and something else.
    No,
    /// Six fields.
    Surely,
    /// Either; both readings as sentences.
    Perhaps(String, String),
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

/// What `useradd` of Debian takes, and names with dots or capitals that exist.
fn is_user_name(word: &str) -> bool {
    let mut chars = word.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && word.len() <= 32
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$'))
}

/// Random values of a line stay the same as long as the line does.
fn seed(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The column of a byte, in characters from 1.
fn column(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).chars().count() + 1
}

fn columns(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    column(text, start)..column(text, end.min(text.len())).max(column(text, start) + 1)
}
