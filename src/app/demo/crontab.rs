//! The calls in the shipped crontab.

use jiff::tz::TimeZone;

use crate::cli::output::Failure;
use crate::crontab::file::{Crontab, CrontabEntry, Format};
use crate::domain::exit::Exit;

/// One `qs-api-call` line.
pub(super) struct CrontabCall {
    /// Its arguments, without the program and without the log file.
    pub(super) args: Vec<String>,
    /// Its log file's name.
    pub(super) log: String,
    /// Its task.
    pub(super) task: String,
}

/// The entries, read as the linter and the renderers read them.
pub(super) fn calls(crontab: &str) -> Result<Vec<CrontabCall>, Failure> {
    let wrong = |reason: String| Failure::new(Exit::Internal, format!("crontab/qs-scheduler: {reason}"));
    let format = Format { fixed_zone: true, ..Format::system(TimeZone::UTC) };
    let crontab = Crontab::parse(crontab.as_bytes(), format);
    if let Some(problem) = crontab.problems.first() {
        return Err(wrong(problem.to_string()));
    }
    let entry = |entry: &CrontabEntry| {
        let no = |what: &str| wrong(format!("line {}: {what}", entry.line));
        let call = entry.call().ok_or_else(|| no("not a call"))?;
        let path = call.line.invocation.log_file.as_ref().ok_or_else(|| no("no log file"))?;
        let log = path.file_name().ok_or_else(|| no("no log file"))?.to_string_lossy().into_owned();
        let args = call.arguments.iter().filter(|arg| path.as_os_str() != arg.as_str()).cloned().collect();
        Ok(CrontabCall { args, log, task: entry.task() })
    };
    crontab.entries().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_crontab_has_entries_that_parse() {
        let calls = calls(super::super::CRONTAB).unwrap();
        let daily = calls.iter().find(|entry| entry.task == "statistics-sync-daily").unwrap();
        assert_eq!(daily.log, "sync-daily.log");
        assert_eq!(daily.args.last().unwrap(), "/api/v1/statistics/sync/daily");
    }
}
