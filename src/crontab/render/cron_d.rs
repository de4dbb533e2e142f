//! A file for `/etc/cron.d`: of a user's crontab, of a file with carriage returns, of one without its last newline.

use super::{Rendered, Unrenderable};
use crate::crontab::file::{Crontab, Format, Line};
use crate::crontab::problem;

/// The same lines, each entry with its user.
///
/// # Errors
/// The first line that cron would refuse or misread.
pub fn cron_d(crontab: &Crontab, name: &str, user: &str) -> Result<Rendered, Unrenderable> {
    let lines = crontab.lines.iter().zip(&crontab.texts).map(|(line, text)| {
        let text = text.trim_end_matches('\r');
        match line {
            Line::Entry(entry) if entry.user.is_none() => {
                let at = line.command_at(text).unwrap_or(text.len());
                format!("{}{user} {}\n", &text[..at], &text[at..])
            }
            _ => format!("{text}\n"),
        }
    });
    let content: String = lines.collect();
    let format =
        Format { fixed_zone: crontab.format.fixed_zone, ..Format::system(crontab.format.zone.clone()) };
    let read = Crontab::parse(content.as_bytes(), format);
    match problem::errors(&read.problems).next() {
        Some(problem) => Err(Unrenderable { line: problem.line, why: problem.message() }),
        None => Ok(Rendered { name: name.to_owned(), content }),
    }
}
