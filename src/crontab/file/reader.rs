//! The file as a whole, and which reader a line is for.

use jiff::tz::TimeZone;

use super::{Crontab, Line, MAX_LINES};
use crate::crontab::environment::{self, Setting};
use crate::crontab::problem::{Problem, Rule, Severity};
use crate::domain::cron::Dialect;

pub(super) struct Reader {
    pub(super) crontab: Crontab,
    pub(super) environment: Vec<Setting>,
    pub(super) zone: Option<(String, TimeZone)>,
    /// What a `# qs: fields=` says.
    pub(super) seconds: Option<bool>,
}

impl Reader {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.crontab.problems.push(problem);
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.crontab.format.dialect
    }

    pub(super) fn file(&mut self, source: &str) {
        let text = source.trim_start_matches('\u{feff}');
        if text.len() < source.len() {
            let found = "a byte order mark, which becomes part of the first line";
            let problem = Problem::new(Rule::ByteOrderMark, 1, found);
            self.problem(problem.fix("save the file as UTF-8 without a byte order mark"));
        }
        let mut texts: Vec<&str> = text.split('\n').collect();
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

    pub(super) fn length(&mut self) {
        let says = |line: &Line| !matches!(line, Line::Blank | Line::Comment(_));
        let last = self.crontab.lines.iter().rposition(says).map_or(0, |index| index + 1);
        if last > MAX_LINES {
            let found = format!("{last} lines, for which cron ignores the whole file");
            self.problem(
                Problem::new(Rule::TooManyLines, 0, found).expected("at most 10000").fix("split the file"),
            );
        }
    }

    pub(super) fn unused_settings(&mut self) {
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
    pub(super) fn carriage_returns(&mut self) {
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

    pub(super) fn line(&mut self, number: usize, text: &str) -> Line {
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
    pub(super) fn directive(&mut self, number: usize, comment: &str) {
        let Some(directive) = comment.strip_prefix("# qs:").map(str::trim) else { return };
        let zone = directive.strip_prefix("zone=");
        match (directive, zone.map(TimeZone::get)) {
            ("fields=5", _) => self.seconds = Some(false),
            ("fields=6", _) => self.seconds = Some(true),
            (_, Some(Ok(_))) if self.crontab.entries().next().is_some() => {
                let problem =
                    Problem::new(Rule::UnknownDirective, number, "a zone that is stated below an entry");
                self.problem(problem.expected("it above every entry").fix("move it to the top"));
            }
            (_, Some(Ok(zone))) => {
                let name = zone.iana_name().unwrap_or(&directive["zone=".len()..]).to_owned();
                self.crontab.stated_zone = Some((number, name));
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

    pub(super) fn unknown_zone(&mut self, number: usize, name: &str, fix: &str) {
        let problem = Problem::new(Rule::UnknownZone, number, format!("the zone {name:?}"));
        self.problem(problem.expected("a name of the tz database").fix(fix));
    }
}

/// The column of a byte, in characters from 1.
pub(super) fn column(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).chars().count() + 1
}

pub(super) fn columns(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    column(text, start)..column(text, end.min(text.len())).max(column(text, start) + 1)
}
