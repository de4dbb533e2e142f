//! `crontab check`: the verdict before cron's.

use std::path::Path;

use super::args::{CheckArgs, Format};
use super::host::{self, Machine};
use super::{openapi, report, source};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::config::Env;
use crate::crontab::lint::{Facts, Host, lint};
use crate::crontab::problem::Severity;
use crate::domain::exit::Exit;

/// Checks a file; errors end with 78.
pub(super) async fn run(
    args: &CheckArgs,
    env: &Env,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let path = &args.source.file;
    let crontab = source::read(&args.source)?;
    let endpoints = match &args.openapi {
        Some(place) => Some(openapi::endpoints(place, env).await?),
        None => None,
    };
    let io = |what: &Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| Failure::new(Exit::Io, format!("{what}: {error}"))
    };
    let is_stdin = path == Path::new("-");
    let on_host = args.host || (!is_stdin && path.parent() == Some(Path::new(host::CRON_D)));
    let machine = if on_host { Some(Machine::new().map_err(io(Path::new("/etc/passwd")))?) } else { None };
    let file = if on_host && !is_stdin { Some(host::facts(path).map_err(io(path))?) } else { None };
    let other_paths =
        if args.other.is_empty() && on_host { host::crontabs(path) } else { args.other.clone() };
    let others = host::owners(&other_paths, &crontab.format).map_err(io(Path::new("another crontab")))?;
    let own_name =
        path.file_name().and_then(|name| name.to_str()).filter(|_| !is_stdin && crontab.format.user_column);
    let facts = Facts {
        name: args.name.as_deref().or(own_name),
        file: file.as_ref(),
        host: machine.as_ref().map(|machine| machine as &dyn Host),
        endpoints: endpoints.as_deref(),
        others: &others,
        from: clock.now(),
    };
    let mut problems = lint(&crontab, &facts);
    if args.strict {
        for problem in problems.iter_mut().filter(|problem| problem.severity == Severity::Warning) {
            problem.severity = Severity::Error;
        }
    }
    let checked =
        report::Checked { path, crontab: &crontab, problems: &problems, runner: args.source.reading.runner };
    match if args.json { Format::Json } else { args.format } {
        Format::Text => output.data(&checked.text(output.colour && output.stdout_is_terminal))?,
        Format::Json => output.json(&checked.json())?,
        Format::Sarif => output.json(&checked.sarif())?,
        Format::Github => output.data(&checked.github())?,
    }
    let errors = checked.count(Severity::Error);
    if errors == 0 {
        return Ok(());
    }
    let what = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Err(Failure::new(Exit::Config, format!("{}: {what}", source::shown(path))))
}
