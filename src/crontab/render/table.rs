//! The entries as a table for a document.

use crate::crontab::file::Crontab;
use crate::crontab::lint::{HIDDEN, secret_lines};

/// A Markdown table, a row for each line.
pub fn table(crontab: &Crontab) -> String {
    let secret = secret_lines(crontab);
    let rows = crontab.entries().map(|entry| {
        let (what, log) = match entry.call().map(|call| &call.line.invocation) {
            Some(invocation) => {
                let log = invocation.log_file.as_ref().map(|log| format!("`{}`", log.display()));
                let endpoint = invocation.endpoint.as_deref().unwrap_or_default();
                (format!("`{} {endpoint}`", invocation.method()), log.unwrap_or_default())
            }
            None if secret.contains(&entry.line) => (HIDDEN.to_owned(), String::new()),
            None => (format!("`{}`", entry.command.shell.replace('|', "\\|")), String::new()),
        };
        let (when, cron) = (entry.schedule.describe(), entry.schedule.to_string());
        format!("| {when} | `{cron}` | {} | {what} | {log} |\n", entry.task())
    });
    format!("| when | cron | task | call | log |\n|---|---|---|---|---|\n{}", rows.collect::<String>())
}
