//! The calls in the shipped crontab: what follows the five fields and the user.

use clap::Parser;

use crate::cli::call::Cli;
use crate::cli::output::Failure;
use crate::domain::exit::Exit;

/// One `qs-api-call` line.
pub(super) struct Entry {
    /// Its arguments, without the program and without the log file.
    pub(super) args: Vec<String>,
    /// Its log file's name.
    pub(super) log: String,
    task: String,
}

impl Entry {
    /// The task of the line.
    pub(super) fn task(&self) -> &str {
        &self.task
    }
}

/// The entries that call `qs-api-call`, parsed by the struct that the program itself uses.
pub(super) fn entries(crontab: &str) -> Result<Vec<Entry>, Failure> {
    let lines = crontab.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter(|line| line.contains("/qs-api-call ")).map(entry).collect()
}

fn entry(line: &str) -> Result<Entry, Failure> {
    let wrong =
        |reason: String| Failure::new(Exit::Internal, format!("crontab/qs-scheduler: {line:?}: {reason}"));
    let mut args: Vec<String> = line.split_whitespace().skip(6).map(str::to_owned).collect();
    let cli = Cli::try_parse_from(&args).map_err(|error| wrong(error.kind().to_string()))?;
    let log = cli.invocation.log_file.as_ref().and_then(|path| path.file_name());
    let log =
        log.map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| wrong("no log file".to_owned()))?;
    args.retain(|arg| cli.invocation.log_file.as_deref() != Some(std::path::Path::new(arg)));
    Ok(Entry { args: args.split_off(1), log, task: cli.invocation.task_name() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_crontab_has_entries_that_parse() {
        let entries = entries(super::super::CRONTAB).unwrap();
        let daily = entries.iter().find(|entry| entry.task() == "statistics-sync-daily").unwrap();
        assert_eq!(daily.log, "sync-daily.log");
        assert_eq!(daily.args.last().unwrap(), "/api/v1/statistics/sync/daily");
    }
}
