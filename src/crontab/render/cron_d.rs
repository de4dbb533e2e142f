//! A file for `/etc/cron.d`: of a user's crontab, of a file with carriage returns, of one without its last newline.

use super::Rendered;
use crate::crontab::file::{Crontab, Line};

/// The same lines, each entry with its user.
pub fn cron_d(crontab: &Crontab, name: &str, user: &str) -> Rendered {
    let lines = crontab.lines.iter().zip(&crontab.texts).map(|(line, text)| {
        let text = text.trim_end_matches('\r');
        match line {
            Line::Entry(entry) if entry.user.is_none() => {
                let at = text.char_indices().nth(entry.command_column - 1).map_or(text.len(), |(at, _)| at);
                format!("{}{user} {}\n", &text[..at], &text[at..])
            }
            _ => format!("{text}\n"),
        }
    });
    let content = lines.collect();
    Rendered { name: name.to_owned(), content }
}
