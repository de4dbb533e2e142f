//! `crontab check`: the verdict before cron's.

use std::path::Path;

use super::args::{CheckArgs, Format};
use super::{openapi, report, source};
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::config::{Env, unknown_variable};
use crate::crontab::lint::{self, Facts, lint};
use crate::crontab::problem::Severity;
use crate::deploy::host::Host;
use crate::deploy::machine::{Machine, facts, other_crontabs, owners};
use crate::domain::exit::Exit;
use crate::domain::plural::plural;

/// Checks a file; errors end with 78.
pub(super) async fn run(
    args: &CheckArgs,
    config: Option<&Path>,
    env: &Env,
    output: Output,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let path = &args.source.file;
    let crontab = source::read(&args.source.file, &args.source.reading)?;
    let endpoints = match &args.openapi {
        Some(place) => Some(openapi::endpoints(place, env).await?),
        None => None,
    };
    let is_stdin = path == Path::new("-");
    let machine = Host::machine();
    let on_host = args.host || (!is_stdin && path.parent() == Some(&machine.cron_dir()));
    let users = if on_host {
        machine.users().map_err(|error| Failure::new(Exit::Io, format!("the list of users: {error}")))?
    } else {
        Vec::new()
    };
    let asked = Machine { host: &machine, users: &users, brings_binary: false };
    let file = if on_host { facts(path) } else { None };
    let own_name =
        path.file_name().and_then(|name| name.to_str()).filter(|_| !is_stdin && crontab.format.user_column);
    let name = args.name.as_deref().or(own_name);
    let other_paths = if args.other.is_empty() && on_host {
        other_crontabs(&machine, name.unwrap_or_default())
    } else {
        args.other.clone()
    };
    let others =
        owners(&other_paths, &crontab.format).map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
    let targets = config.map(source::targets).transpose()?;
    let facts = Facts {
        name,
        file: file.as_ref(),
        host: on_host.then_some(&asked as &dyn lint::Host),
        endpoints: endpoints.as_deref(),
        targets: targets.as_deref(),
        unknown_variable: Some(unknown_variable),
        others: &others,
        from: clock.now(),
    };
    let mut problems = lint(&crontab, &facts);
    if args.strict {
        let warnings = problems.iter_mut().filter(|problem| problem.severity == Severity::Warning);
        warnings.for_each(|problem| problem.severity = Severity::Error);
    }
    let checked = report::Checked {
        path,
        crontab: &crontab,
        problems: &problems,
        runner: args.source.reading.runner,
        secret: lint::secret_lines(&crontab),
    };
    print(&checked, args, output)?;
    let errors = checked.count(Severity::Error);
    if errors == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Config, format!("{}: {}", source::shown(path), plural(errors, "error"))))
}

fn print(checked: &report::Checked<'_>, args: &CheckArgs, output: Output) -> Result<(), Failure> {
    match if args.json { Format::Json } else { args.format } {
        Format::Text => output.data(&checked.text(output.colour && output.stdout_is_terminal)),
        Format::Json => output.json(&checked.json()),
        Format::Sarif => output.json(&checked.sarif()),
        Format::Github => output.data(&checked.github()),
    }
}
