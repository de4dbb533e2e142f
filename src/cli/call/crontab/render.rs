//! `crontab render`: the same lines for another runner.

use std::fs;
use std::path::Path;

use clap::ValueEnum;

use super::args::{RenderArgs, Target};
use super::source;
use crate::cli::output::{Failure, Output};
use crate::config::call::CallTargets;
use crate::config::{ConfigError, Env};
use crate::crontab::file::{Crontab, CrontabEntry, is_user_name};
use crate::crontab::lint::{Facts, lint};
use crate::crontab::problem::{Problem, Rule};
use crate::crontab::render::{self, Credentials, MARK, Options, Rendered, Unrenderable};
use crate::domain::exit::Exit;
use crate::files;

/// Renders to standard output, into a directory, or against one.
pub(super) fn run(args: &RenderArgs, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let crontab = source::read_sound(&args.source.file, &args.source.reading, output)?;
    let path = &args.source.file;
    if !is_user_name(&args.user) {
        return Err(Failure::new(Exit::Usage, format!("--user {:?}: expected a user's name", args.user)));
    }
    if let Some(claim) = &args.state_claim {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let wrong = if args.target != Target::Kubernetes {
            "only kubernetes has claims"
        } else if claim.is_empty()
            || !claim.chars().all(plain)
            || !claim.starts_with(|c| c != '-' && c != '.')
        {
            "expected the name of a PersistentVolumeClaim: lower case, digits, '-' and '.'"
        } else {
            ""
        };
        if !wrong.is_empty() {
            return Err(Failure::new(Exit::Usage, format!("--state-claim {claim:?}: {wrong}")));
        }
    }
    // What is rendered is kept and committed, so it must hold no secret and every byte of the line.
    let problems = lint(&crontab, &Facts::default());
    let lost = |problem: &&Problem| matches!(problem.rule, Rule::Secret | Rule::NotUtf8);
    if let Some(problem) = problems.iter().find(lost) {
        let message = format!("{}: {problem}", source::shown(path));
        return Err(Failure::new(Exit::Config, message).with_hint(problem.fix.clone()));
    }
    let credentials = config.map(|path| credentials(path, &crontab)).transpose()?;
    let rendered = rendered(args, config, credentials, &crontab).map_err(|Unrenderable { line, why }| {
        Failure::new(Exit::Config, format!("{}, line {line}: {why}", source::shown(path)))
    })?;
    match &args.output {
        None => output.data(&joined(args.target, &rendered)),
        Some(dir) if args.check => check(dir, &rendered, output),
        Some(dir) => write(dir, &rendered, output),
    }
}

/// The credentials of every target of the configuration at `path`, in which each target that a line names must be.
fn credentials(path: &Path, crontab: &Crontab) -> Result<Credentials, Failure> {
    let targets = CallTargets::read(&[source::config(path)?], &Env::default())?;
    let calls = crontab.entries().filter_map(CrontabEntry::call);
    for name in calls.filter_map(|call| call.line.invocation.target.as_deref()) {
        if !targets.named.contains_key(name) {
            return Err(ConfigError { problems: vec![targets.unknown(name)] }.into());
        }
    }
    let all = std::iter::once(&targets.unnamed).chain(targets.named.values());
    Ok(all.map(|loaded| (loaded.target.clone(), loaded.config.credentials())).collect())
}

fn rendered(
    args: &RenderArgs,
    config: Option<&Path>,
    credentials: Option<Credentials>,
    crontab: &Crontab,
) -> Result<Vec<Rendered>, Unrenderable> {
    let path = &args.source.file;
    let stated = crontab.stated_zone.as_ref().map(|(_, zone)| zone.clone());
    let source = args.label.clone().unwrap_or_else(|| path.display().to_string());
    let zone = match &args.source.reading.zone {
        Some(_) => Some(crontab.format.zone.iana_name().unwrap_or("UTC").to_owned()),
        None => stated,
    };
    let state_claim = args.state_claim.clone();
    let options = Options { command: command(args, config, &source), source, zone, credentials, state_claim };
    let name =
        path.file_name().and_then(|name| name.to_str()).filter(|name| *name != "-").unwrap_or("qs-scheduler");
    Ok(match args.target {
        Target::CronD => vec![render::cron_d(crontab, name, &args.user)?],
        Target::Systemd => render::systemd(crontab, &options)?,
        Target::Kubernetes => render::kubernetes(crontab, &options)?,
        Target::Table => vec![Rendered { name: format!("{name}.md"), content: render::table(crontab) }],
    })
}

/// The command line that renders the same files.
fn command(args: &RenderArgs, config: Option<&Path>, source: &str) -> String {
    let target = args.target.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let zone = args.source.reading.zone.as_ref().map(|zone| format!(" --zone {zone}")).unwrap_or_default();
    let output = args.output.as_ref().map(|dir| format!(" -o {}", dir.display())).unwrap_or_default();
    let config = config.map(|path| format!(" --config {}", path.display())).unwrap_or_default();
    let claim = args.state_claim.as_ref().map(|claim| format!(" --state-claim {claim}")).unwrap_or_default();
    format!("qs-api-call crontab render {target}{config}{zone}{claim}{output} {source}")
}

/// All files as one text: manifests as documents of one stream, units behind their names.
fn joined(target: Target, files: &[Rendered]) -> String {
    let text = |file: &Rendered| match target {
        Target::Systemd => format!("# {}\n{}", file.name, file.content),
        _ => file.content.clone(),
    };
    let texts: Vec<String> = files.iter().map(text).collect();
    texts.join(if target == Target::Kubernetes { "---\n" } else { "\n" })
}

fn write(dir: &Path, files: &[Rendered], output: Output) -> Result<(), Failure> {
    let failure = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::new(Exit::CannotCreate, format!("{path}: {error}"))
    };
    fs::create_dir_all(dir).map_err(failure(dir))?;
    let mut said = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        let word = match fs::read(&path) {
            Ok(old) if old == file.content.as_bytes() => "unchanged",
            Ok(_) => "changed",
            Err(_) => "new",
        };
        if word != "unchanged" {
            files::replace(&path, file.content.as_bytes(), 0o644, files::Durability::Rename)
                .map_err(failure(&path))?;
        }
        said.push(format!("{word} {}", path.display()));
    }
    for path in left_over(dir, files).map_err(failure(dir))? {
        files::remove(&path).map_err(failure(&path))?;
        said.push(format!("removed {}", path.display()));
    }
    output.data(&said.join("\n"))
}

fn check(dir: &Path, files: &[Rendered], output: Output) -> Result<(), Failure> {
    let differs = |file: &Rendered| {
        let path = dir.join(&file.name);
        match fs::read(&path) {
            Ok(old) if old == file.content.as_bytes() => None,
            Ok(_) => Some(format!("{} differs", path.display())),
            Err(error) => Some(format!("{}: {error}", path.display())),
        }
    };
    let mut differences: Vec<String> = files.iter().filter_map(differs).collect();
    let left = left_over(dir, files)
        .map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", dir.display())))?;
    differences.extend(left.iter().map(|path| format!("{} belongs to no line", path.display())));
    if differences.is_empty() {
        return output.data(&format!("{} files in {} are as rendered", files.len(), dir.display()));
    }
    output.data(&differences.join("\n"))?;
    Err(Failure::new(Exit::Failed, format!("{}: {} differences", dir.display(), differences.len()))
        .with_hint("render again without --check"))
}

/// Files of an earlier rendering to which no line belongs any more. A file without the mark is somebody's own.
fn left_over(dir: &Path, files: &[Rendered]) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rendered = files.iter().any(|file| file.name == name);
        if !rendered && path.is_file() && fs::read(&path)?.starts_with(MARK.as_bytes()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
