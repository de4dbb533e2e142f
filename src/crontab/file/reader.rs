//! The file as a whole, and which reader a line is for.

use jiff::tz::TimeZone;

use super::{Crontab, Line, MAX_LINES};
use crate::crontab::environment::{self, Setting};
use crate::crontab::problem::{Problem, Rule, Severity, report};
use crate::domain::cron::CronDialect;
use crate::domain::plural::plural;

pub(super) struct Reader {
    pub(super) crontab: Crontab,
    pub(super) environment: Vec<Setting>,
    pub(super) zone: Option<(String, TimeZone)>,
    /// Whether a `# qs: fields=` says that lines begin with seconds.
    pub(super) seconds: Option<bool>,
}

impl Reader {
    pub(super) fn report(&mut self, rule: Rule, line: usize, found: impl Into<String>) -> &mut Problem {
        report(&mut self.crontab.problems, rule, line, found)
    }

    pub(super) fn dialect(&self) -> CronDialect {
        self.crontab.format.dialect
    }

    pub(super) fn file(&mut self, source: &str) {
        let text = source.trim_start_matches('\u{feff}');
        if text.len() < source.len() {
            self.report(Rule::ByteOrderMark, 1, "a byte order mark, which becomes part of the first line")
                .fix("save the file as UTF-8 without a byte order mark");
        }
        let mut texts: Vec<&str> = text.split('\n').collect();
        let last = texts.pop().unwrap_or_default();
        if !last.is_empty() {
            texts.push(last);
            // Cron looks for the newline of a line that it reads; a comment or blanks may end the file without one.
            if !matches!(last.trim_start_matches([' ', '\t']).chars().next(), None | Some('#')) {
                let found = "no newline behind the last line, for which cron ignores the whole file";
                self.report(Rule::NoNewline, texts.len(), found).fix("end the file with a newline");
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
            self.report(Rule::TooManyLines, 0, found).expected("at most 10000").fix("split the file");
        }
    }

    fn unused_settings(&mut self) {
        let lines = &self.crontab.lines;
        let runs = |line: &Line| matches!(line, Line::Entry(_) | Line::Broken);
        let Some(last_entry) = lines.iter().rposition(runs) else { return };
        for (index, line) in lines.iter().enumerate().skip(last_entry + 1) {
            let Line::Setting(setting) = line else { continue };
            let found = format!("{} below every entry, where it counts for none", setting.name);
            report(&mut self.crontab.problems, Rule::UnusedSetting, index + 1, found)
                .fix("move it above the entries");
        }
    }

    /// One problem for the whole file: somebody saved it on Windows. Cron drops the character from settings alone.
    fn carriage_returns(&mut self) {
        let all = (1..).zip(&self.crontab.lines).zip(&self.crontab.texts);
        let with: Vec<(usize, &Line)> =
            all.filter(|(_, text)| text.ends_with('\r')).map(|(line, _)| line).collect();
        let hurts = with.iter().find(|(_, line)| !matches!(line, Line::Setting(_) | Line::Comment(_)));
        let Some((line, _)) = hurts.or(with.first()).copied() else { return };
        let (severity, effect) = match hurts {
            Some((_, Line::Blank)) => (Severity::Error, "for which cron ignores the whole file"),
            Some(_) => (Severity::Error, "which becomes part of the command's last argument"),
            None => (Severity::Warning, "which becomes part of an argument as soon as an entry has it"),
        };
        let lines = plural(with.len(), "line");
        let found = format!("a carriage return at the end of {lines}, {effect}");
        let problem = self.report(Rule::CarriageReturn, line, found);
        problem.severity = severity;
        problem.fix("convert the file: sed -i 's/\\r$//' FILE");
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
            self.report(Rule::NulByte, number, "a NUL byte").fix("remove it");
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
            (_, Some(Ok(_))) if self.crontab.entries().next().is_some() => {
                self.report(Rule::UnknownDirective, number, "a zone that is stated below an entry")
                    .expected("it above every entry")
                    .fix("move it to the top");
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
                self.report(Rule::UnknownDirective, number, format!("{other:?}"))
                    .expected("# qs: fields=5, # qs: fields=6 or # qs: zone=NAME")
                    .fix("remove it, or begin the comment with another word");
            }
        }
    }

    pub(super) fn unknown_zone(&mut self, number: usize, name: &str, fix: &str) {
        self.report(Rule::UnknownZone, number, format!("the zone {name:?}"))
            .expected("a name of the tz database")
            .fix(fix);
    }
}

/// The column of a byte, in characters from 1.
pub(super) fn column(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).chars().count() + 1
}

pub(super) fn columns(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    column(text, start)..column(text, end.min(text.len())).max(column(text, start) + 1)
}
