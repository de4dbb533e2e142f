//! What is wrong with a crontab: where, how bad, what was found, what was expected, and a fix.

use std::fmt;
use std::ops::Range;

use crate::domain::word::words;

words! {
    /// How bad a problem is.
    #[derive(PartialOrd, Ord)]
    pub enum Severity: "severity" {
        /// Worth knowing.
        Note = "note",
        /// It runs, but perhaps not as it was meant.
        Warning = "warning",
        /// It does not run, or not what is written.
        Error = "error",
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $severity:ident;)+) => {
        /// A rule that a crontab can break. Its code is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Rule] = &[$(Rule::$name),+];

            /// The stable code, for output.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => $code),+ }
            }

            /// How bad it is to break it.
            pub fn severity(self) -> Severity {
                match self { $(Rule::$name => Severity::$severity),+ }
            }

            /// What the rule says, in one sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Rule::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

rules! {
    /// A time field must be one that cron can read.
    BadTime "bad-time" Error;
    /// A time field must mean what it says: cron skips some text without a word.
    MisreadTime "misread-time" Error;
    /// A line must fire at some time.
    NeverFires "never-fires" Error;
    /// Cron has five time fields; six, with seconds first, are for qs-scheduler alone.
    SixFields "six-fields" Error;
    /// A line must have one reading: with five fields or with six.
    AmbiguousFields "ambiguous-fields" Error;
    /// A file for cron.d has the user behind the time.
    NoUser "no-user" Error;
    /// The user must exist.
    UnknownUser "unknown-user" Error;
    /// The user stands in a line once.
    UserTwice "user-twice" Error;
    /// A line must have a command.
    NoCommand "no-command" Error;
    /// A command has fewer than 999 bytes.
    LongCommand "long-command" Error;
    /// A line that is neither an entry, a setting nor a comment makes cron ignore the whole file.
    NotALine "not-a-line" Error;
    /// The last line must end with a newline.
    NoNewline "no-newline" Error;
    /// Lines end with a newline alone.
    CarriageReturn "carriage-return" Error;
    /// There must be no NUL byte.
    NulByte "nul-byte" Error;
    /// There must be no byte order mark.
    ByteOrderMark "byte-order-mark" Error;
    /// A crontab has at most 10,000 lines.
    TooManyLines "too-many-lines" Error;
    /// Cron ends a command at `%` and feeds it the rest; a literal one is `\%`.
    Percent "percent" Error;
    /// Cron does not expand variables in a setting.
    NotExpanded "not-expanded" Error;
    /// A setting must be kept as it is written.
    MisreadSetting "misread-setting" Error;
    /// A setting is one that Debian's cron knows, or one for the command.
    ForeignSetting "foreign-setting" Error;
    /// SHELL is the full path of a program, without options.
    Shell "shell" Error;
    /// A setting counts for the entries below it.
    UnusedSetting "unused-setting" Warning;
    /// A command must be kept as it is written: no line goes on in the next one, and two backslashes become one.
    Backslash "backslash" Error;
    /// TZ is for the command; the times stay in the zone of the machine.
    Tz "tz" Warning;
    /// Debian's cron knows one time zone, that of the machine.
    CronTz "cron-tz" Error;
    /// A time zone must be in the tz database.
    UnknownZone "unknown-zone" Error;
    /// A `# qs:` comment must be one that is known.
    UnknownDirective "unknown-directive" Error;
    /// Cron ignores a file whose name has anything but letters, digits, `-` and `_`.
    FileName "file-name" Error;
    /// Cron ignores a file that group or others may write.
    FileMode "file-mode" Error;
    /// Cron ignores a file that is not root's.
    FileOwner "file-owner" Error;
    /// Cron ignores what is not a regular file, and a file with a second name.
    FileKind "file-kind" Error;
    /// The arguments of a call must be right.
    CallArguments "call-arguments" Error;
    /// The program must be named by its full path and exist.
    Program "program" Error;
    /// An endpoint must be one that the server has.
    UnknownEndpoint "unknown-endpoint" Error;
    /// A target must be one that the configuration has.
    UnknownTarget "unknown-target" Error;
    /// A variable `QS_…` must be a setting that a program knows.
    UnknownVariable "unknown-variable" Warning;
    /// No secret belongs in a crontab.
    Secret "secret" Error;
    /// A file with a secret must be readable by its owner alone.
    SecretReadable "secret-readable" Error;
    /// A task belongs to one line of one scheduler.
    TwoOwners "two-owners" Error;
    /// A token file belongs to one account, tenant and server.
    SharedToken "shared-token" Error;
    /// A call inside of a larger shell command cannot be checked.
    Unchecked "unchecked" Warning;
    /// A command names its program by its full path, or the file sets PATH.
    Path "path" Warning;
    /// MAILTO says who is told about failures.
    MailTo "mail-to" Note;
    /// A call leaves its log in a file.
    NoLog "no-log" Note;
    /// Lines with the same task share its lock, its records and its metrics.
    SameTask "same-task" Warning;
    /// Calls that start in the same minute compete.
    SameMinute "same-minute" Warning;
    /// The zone that the file states must be that of the machine.
    ZoneDiffers "zone-differs" Warning;
    /// With both days given, one is enough.
    EitherDay "either-day" Warning;
    /// With `*` before one of the days, both must match.
    BothDays "both-days" Warning;
    /// A step longer than its range leaves one value.
    LoneStep "lone-step" Warning;
    /// A time that a change of the clocks skips or repeats.
    ClockChange "clock-change" Note;
    /// Text that is not UTF-8 is shown with replacements.
    NotUtf8 "not-utf8" Warning;
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule that is broken.
    pub rule: Rule,
    /// How bad it is here; the rule's own unless the reader of the file makes less of it.
    pub severity: Severity,
    /// The line, from 1; 0 is the file as a whole.
    pub line: usize,
    /// The columns, in characters, from 1, the end excluded. Empty when it is about the whole line.
    pub columns: Range<usize>,
    /// The part of the line that it is about (`minute`), if that is not the line.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What was expected, if the rule alone does not say it.
    pub expected: String,
    /// What to write or to do instead.
    pub fix: String,
}

/// Adds a problem of a whole line, or with line 0 of the file; the caller says what else is known about it.
pub fn report(
    problems: &mut Vec<Problem>,
    rule: Rule,
    line: usize,
    found: impl Into<String>,
) -> &mut Problem {
    problems.push_mut(Problem {
        rule,
        severity: rule.severity(),
        line,
        columns: 0..0,
        about: "",
        found: found.into(),
        expected: String::new(),
        fix: String::new(),
    })
}

/// How many are this bad.
pub fn count(problems: &[Problem], severity: Severity) -> usize {
    problems.iter().filter(|problem| problem.severity == severity).count()
}

/// Those that are errors.
pub fn errors(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| problem.severity == Severity::Error)
}

impl Problem {
    /// Says where in the line it is.
    pub fn at(&mut self, columns: Range<usize>) -> &mut Self {
        self.columns = columns;
        self
    }

    /// Says what was expected.
    pub fn expected(&mut self, expected: impl Into<String>) -> &mut Self {
        self.expected = expected.into();
        self
    }

    /// Says what to write or to do instead.
    pub fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        self.fix = fix.into();
        self
    }

    /// What was found and what was expected, in one sentence.
    pub fn message(&self) -> String {
        let about = if self.about.is_empty() { String::new() } else { format!("{}: ", self.about) };
        if self.expected.is_empty() {
            return format!("{about}{}", self.found);
        }
        format!("{about}found {}, expected {}", self.found, self.expected)
    }
}

/// `line 3, column 5: error: found …, expected … [bad-time]`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}", self.line)?;
            if !self.columns.is_empty() {
                write!(f, ", column {}", self.columns.start)?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {} [{}]", self.severity, self.message(), self.rule.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_and_differ() {
        for (index, rule) in Rule::ALL.iter().enumerate() {
            assert!(
                rule.code().bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'8')),
                "{rule:?}"
            );
            assert!(Rule::ALL[..index].iter().all(|other| other.code() != rule.code()), "{rule:?}");
            assert!(rule.summary().ends_with('.'), "{rule:?}");
        }
    }
}
