//! Entries: the time, the user, and where the command begins.

use std::ops::Range;

use super::CrontabEntry;
use super::reader::{Reader, column, columns};
use crate::crontab::call;
use crate::crontab::problem::Rule;
use crate::domain::cron::{self, CronDialect, CronError, CronErrorKind, CronExpr, Field};
use crate::domain::digest::fnv64;
use crate::domain::schedule::Schedule;

impl Reader {
    pub(super) fn entry(&mut self, number: usize, text: &str) -> Option<CrontabEntry> {
        let words = cron::words(text);
        let count = self.time_words(number, text, &words)?;
        let place = span(&words[..count]);
        let time = &text[place.clone()];
        let schedule = if time == "@reboot" {
            Schedule::Reboot
        } else {
            // Random values of a line stay the same as long as the line does.
            let seed = fnv64(text.bytes());
            // A line whose time is wrong may have its words in other places than they seem; one problem is enough.
            let expr = CronExpr::parse(time, self.dialect(), seed)
                .inspect_err(|error| self.time_error(number, text, place.start, error))
                .ok()?;
            let zone = self.zone.as_ref().map_or(&self.crontab.format.zone, |(_, zone)| zone).clone();
            Schedule::Cron { expr, zone }
        };
        let (user, command_at) = self.user(number, text, &words, count)?;
        let command = self.command(number, text, command_at)?;
        Some(CrontabEntry {
            line: number,
            schedule,
            zone: self.zone.as_ref().map(|(name, _)| name.clone()),
            user,
            reading: call::read(&command.shell),
            command,
            command_column: column(text, command_at),
            environment: self.environment.clone(),
            time_columns: columns(text, place.start, place.end),
        })
    }

    /// How many words the time has: one nickname, five fields, or six.
    fn time_words(&mut self, number: usize, text: &str, words: &[(usize, &str)]) -> Option<usize> {
        if words[0].1.starts_with('@') {
            return Some(1);
        }
        if words.len() < 5 {
            let fix = if text.contains('=') {
                "write NAME=value, the value in quotes and nothing behind it"
            } else {
                "begin the line with # to make it a comment"
            };
            let found = format!("{} words: neither a setting (NAME=value) nor an entry", words.len());
            self.report(Rule::NotALine, number, found)
                .expected("five time fields, the user and a command")
                .fix(fix);
            return None;
        }
        match (self.field_count(text, words), self.dialect()) {
            (FieldCount::Five, _) | (FieldCount::Either(..), CronDialect::Debian) => Some(5),
            (_, CronDialect::Scheduler) if self.seconds.is_some() => {
                Some(if self.seconds == Some(true) { 6 } else { 5 })
            }
            (FieldCount::Six, CronDialect::Scheduler) => Some(6),
            (FieldCount::Either(first, second), CronDialect::Scheduler) => {
                let found =
                    format!("six words that can be time fields: with five, {first}; with six, {second}");
                let place = span(&words[..6]);
                self.report(Rule::AmbiguousFields, number, found)
                    .expected("one reading")
                    .at(columns(text, place.start, place.end))
                    .fix("write `# qs: fields=5` or `# qs: fields=6` in a line above");
                None
            }
            (FieldCount::Six, CronDialect::Debian) => {
                self.six_fields(number, text, &words[..6]);
                None
            }
        }
    }

    fn six_fields(&mut self, number: usize, text: &str, words: &[(usize, &str)]) {
        let fields: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        let reading = CronExpr::parse(&fields.join(" "), CronDialect::Scheduler, 0)
            .map(|expr| expr.describe())
            .unwrap_or_default();
        let place = span(words);
        let found = format!("six time fields; qs-scheduler reads them with seconds first: {reading}");
        self.report(Rule::SixFields, number, found)
            .expected("five, which is all that cron knows")
            .at(columns(text, place.start, place.end))
            .fix(format!("{}, or check the file with --for qs-scheduler", fields[1..].join(" ")));
    }

    /// Whether the sixth word is a time field too. A user can be called `mon`, a program `7`; then both readings stand.
    fn field_count(&self, text: &str, words: &[(usize, &str)]) -> FieldCount {
        let user_column = self.crontab.format.user_column;
        if words.len() <= 6 + usize::from(user_column) {
            return FieldCount::Five;
        }
        let expr =
            |count: usize| CronExpr::parse(&text[span(&words[..count])], CronDialect::Scheduler, 0).ok();
        let Some(second) = expr(6) else { return FieldCount::Five };
        let (at, sixth) = words[5];
        let (follows, what) = if user_column {
            (is_user_name(sixth), format!("as user {sixth}"))
        } else {
            (!sixth.starts_with('*'), format!("the command {:?}", &text[at..]))
        };
        match expr(5).filter(|_| follows) {
            Some(first) => FieldCount::Either(format!("{}, {what}", first.describe()), second.describe()),
            None => FieldCount::Six,
        }
    }

    fn time_error(&mut self, number: usize, text: &str, start: usize, error: &CronError) {
        let rule = match error.kind {
            CronErrorKind::Field | CronErrorKind::FieldCount | CronErrorKind::Nickname => Rule::BadTime,
            CronErrorKind::Misread => Rule::MisreadTime,
            CronErrorKind::NeverFires => Rule::NeverFires,
        };
        let (from, to) = (start + error.at.start, start + error.at.end);
        let problem = self.report(rule, number, error.found.clone());
        problem.about = error.field.map_or("", Field::as_str);
        problem.at(columns(text, from, to.max(from + 1)));
        problem.expected(error.expected.clone()).fix(error.fix.clone());
    }

    /// The user, if the file has that column, and where the command begins.
    fn user(
        &mut self,
        number: usize,
        text: &str,
        words: &[(usize, &str)],
        count: usize,
    ) -> Option<(Option<String>, usize)> {
        let user_column = self.crontab.format.user_column;
        let Some(&(at, word)) = words.get(count) else {
            self.report(Rule::NoCommand, number, "nothing behind the time")
                .expected(if user_column { "the user and a command" } else { "a command" })
                .fix("add what is to run, or remove the line");
            return None;
        };
        let place = columns(text, at, at + word.len());
        if !user_column {
            if word.starts_with('*') && self.dialect() == CronDialect::Debian {
                self.report(Rule::NoCommand, number, format!("{word:?} where the command begins"))
                    .at(place)
                    .expected("a command")
                    .fix("five time fields, then the command");
                return None;
            }
            return Some((None, at));
        }
        if !is_user_name(word) {
            let fix = format!("{} root {}", &text[span(&words[..count])], &text[at..]);
            self.report(Rule::NoUser, number, format!("{word:?} where the user belongs"))
                .at(place)
                .expected("a user's name")
                .fix(fix);
            return None;
        }
        let Some(&(command_at, next)) = words.get(count + 1) else {
            self.report(Rule::NoCommand, number, format!("nothing behind the user {word:?}"))
                .expected("a command")
                .fix("add what is to run; a crontab without the user column is read with --user-crontab");
            return None;
        };
        if next == word {
            let found = format!("the user {word:?} twice: the second one would be the command");
            self.report(Rule::UserTwice, number, found)
                .at(columns(text, command_at, command_at + word.len()))
                .fix("remove one of them");
        }
        Some((Some(word.to_owned()), command_at))
    }
}

/// From the first byte of the first word to behind the last word.
fn span(words: &[(usize, &str)]) -> Range<usize> {
    let (last, word) = words[words.len() - 1];
    words[0].0..last + word.len()
}

/// How many of the words at the beginning of a line are time fields.
enum FieldCount {
    Five,
    Six,
    /// Either; both readings as sentences.
    Either(String, String),
}

/// What `useradd` of Debian takes, and names with dots or capitals that exist.
pub fn is_user_name(word: &str) -> bool {
    let mut chars = word.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && word.len() <= 32
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$'))
}
