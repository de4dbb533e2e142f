//! Entries: the time, the user, and where the command begins.

use super::Entry;
use super::reader::{Reader, column, columns};
use crate::crontab::call;
use crate::crontab::problem::{Problem, Rule};
use crate::domain::cron::{self, CronError, CronErrorKind, CronExpr, Dialect, Field};
use crate::domain::digest::fnv64;
use crate::domain::schedule::Schedule;

impl Reader {
    pub(super) fn entry(&mut self, number: usize, text: &str) -> Option<Entry> {
        let words = cron::words(text);
        let count = self.time_words(number, text, &words)?;
        let (start, end) = (words[0].0, words[count - 1].0 + words[count - 1].1.len());
        let time = &text[start..end];
        // Random values of a line stay the same as long as the line does.
        let seed = fnv64(text.bytes());
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
                "write NAME=value, the value in quotes and nothing behind it"
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

/// What `useradd` of Debian takes, and names with dots or capitals that exist.
pub fn is_user_name(word: &str) -> bool {
    let mut chars = word.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && word.len() <= 32
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$'))
}
