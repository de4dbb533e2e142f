//! A crontab from a file or from standard input.

use std::io::Read;
use std::path::Path;

use jiff::tz::TimeZone;

use super::args::ReadingArgs;
use crate::cli::output::{Failure, Output};
use crate::clock;
use crate::config::{ConfigFile, target_names};
use crate::crontab::file::{Crontab, Format};
use crate::crontab::lint;
use crate::crontab::problem;
use crate::domain::exit::Exit;

/// Largest file that is read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads and parses a file; `-` is standard input.
pub(in crate::cli::call) fn read(path: &Path, reading: &ReadingArgs) -> Result<Crontab, Failure> {
    Ok(Crontab::parse(&bytes(path)?, format(reading)?))
}

/// The same, and nothing in it may be an error: what follows would be about a file that does not run.
pub(in crate::cli::call) fn read_sound(
    path: &Path,
    reading: &ReadingArgs,
    output: Output,
) -> Result<Crontab, Failure> {
    let crontab = read(path, reading)?;
    sound(&crontab, path, output)?;
    Ok(crontab)
}

/// Refuses a crontab with errors, of which the first is told.
pub(super) fn sound(crontab: &Crontab, path: &Path, output: Output) -> Result<(), Failure> {
    let problems = lint::of_text(crontab);
    let mut errors = problem::errors(&problems);
    let Some(first) = errors.next() else { return Ok(()) };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!("{}: {first}{more}", shown(path));
    Err(Failure::new(Exit::Config, message).with_hint(format!("see {} crontab check", output.program)))
}

/// The bytes of a file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |error: std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NoInput } else { Exit::Io };
        Failure::new(exit, format!("{}: {error}", shown(path)))
    };
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut content)
    } else {
        std::fs::File::open(path).map_err(failure)?.take(MAX_BYTES + 1).read_to_end(&mut content)
    };
    if read.map_err(failure)? as u64 > MAX_BYTES {
        return Err(Failure::new(Exit::Config, format!("{}: more than 16 MiB is no crontab", shown(path))));
    }
    Ok(content)
}

/// A configuration that is named for the calls of a crontab.
pub(super) fn config(path: &Path) -> Result<ConfigFile, Failure> {
    ConfigFile::read(path)
        .map_err(|error| Failure::new(Exit::NoInput, format!("configuration {}: {error}", path.display())))
}

/// The names of its targets.
pub(super) fn targets(path: &Path) -> Result<Vec<String>, Failure> {
    target_names(&config(path)?).ok_or_else(|| {
        Failure::new(Exit::Config, format!("configuration {}: it cannot be read", path.display()))
            .with_hint(format!("see qs-api-call config show --config {}", path.display()))
    })
}

/// How a file is called in messages.
pub(in crate::cli::call) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// What the options say about reading.
fn format(args: &ReadingArgs) -> Result<Format, Failure> {
    let of_name = |name: &String| {
        TimeZone::get(name).map_err(|_| {
            Failure::new(Exit::Usage, format!("--zone {name}: not in the tz database of this machine"))
                .with_hint("a name such as Asia/Shanghai or UTC; the package tzdata holds them")
        })
    };
    let zone = args.zone.as_ref().map(of_name).transpose()?.unwrap_or_else(clock::local_zone);
    let fixed_zone = args.zone.is_some();
    Ok(Format { dialect: args.runner.dialect(), user_column: !args.user_crontab, zone, fixed_zone })
}
