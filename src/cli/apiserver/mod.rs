//! The command line of `qs-apiserver`: arguments and files become a checked configuration. Starting it is `app`'s part.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::cli::output::Failure;
use crate::config::apiserver::{ApiserverConfig, DEFAULT_YAML, SETTINGS, validate};
use crate::config::{ConfigError, ConfigFile, Env, Loaded, Origin, Setting, load};
use crate::domain::exit::Exit;

/// The file that is looked for in each configuration directory.
const FILE: &str = "qs-apiserver.yaml";

const EXAMPLES: &str = "\
Examples:
  qs-apiserver serve --dev-iam
  QS_SERVER__ADDR=127.0.0.1:0 QS_DATABASE__URL=sqlite:/tmp/qs.db qs-apiserver serve --dev-iam
  qs-apiserver config default > qs-apiserver.yaml
  qs-apiserver config show --config qs-apiserver.yaml

On stdout the server prints one line, `listening on http://ADDRESS`, once it accepts requests; before it, with a
generated password, `dev-iam username=NAME password=PASSWORD`. The log goes to stderr.

Exit codes: 0 stopped by SIGTERM or SIGINT, 64 wrong command line, 66 a named file is missing, 73 the state
directory or the log cannot be created, 74 the address or the database cannot be opened, 78 wrong or unsafe
configuration.";

/// The business endpoints that the crontab calls.
#[derive(Debug, Parser)]
#[command(name = "qs-apiserver", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT.
    Serve(Source),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints a complete commented file with every default.
    Default,
    /// Prints every setting with the place where it was set; secrets stay hidden.
    Show(Source),
}

#[derive(Debug, Args)]
struct Source {
    /// Reads only this file instead of /etc/qs-server/qs-apiserver.yaml and the user's own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Runs the IAM for development inside this server; only on a loopback address.
    #[arg(long)]
    dev_iam: bool,
}

/// What is left to do once the command line is read.
#[derive(Debug)]
pub enum Next {
    /// Serve with this configuration.
    Serve(Box<Loaded<ApiserverConfig>>),
    /// Nothing: end like this.
    End(Exit),
}

/// Reads the command line and does everything but serving.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    env: &Env,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Next {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return Next::End(parse_failed(&error, out, err)),
    };
    let (text, end) = match cli.command {
        Command::Serve(source) => match configure(&source, env) {
            Ok(loaded) => return Next::Serve(Box::new(loaded)),
            Err(problem) => return Next::End(problem.report(err)),
        },
        Command::Config(ConfigCommand::Default) => (DEFAULT_YAML.to_owned(), Exit::Ok),
        Command::Config(ConfigCommand::Show(source)) => match read(&source, env) {
            Ok(loaded) => (show(&loaded), Exit::Ok),
            Err(problem) => return Next::End(problem.report(err)),
        },
    };
    Next::End(if out.write_all(text.as_bytes()).is_ok() { end } else { Exit::Io })
}

/// Why there is no configuration.
enum Problem {
    /// A file cannot be read.
    File { path: PathBuf, source: std::io::Error },
    /// Settings are wrong.
    Config(ConfigError),
}

impl Problem {
    /// One line on stderr, and the exit code.
    fn report(&self, err: &mut dyn Write) -> Exit {
        // Nothing can be done about a stderr that is closed.
        let (_, exit) = match self {
            Self::File { path, source } => {
                (writeln!(err, "error: cannot read {}: {source}", path.display()), Exit::NoInput)
            }
            Self::Config(error) => (writeln!(err, "error: {error}"), Exit::Config),
        };
        exit
    }
}

/// `--help` and `--version` are data; everything else is a usage error, in one line.
fn parse_failed(error: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let text = error.render();
        let terminal = std::io::stdout().is_terminal();
        // Nothing can be done about an output that is closed.
        let _ = if terminal { write!(out, "{}", text.ansi()) } else { write!(out, "{text}") };
        return Exit::Ok;
    }
    let Failure { exit, message, hint } = Failure::usage(error, "qs-apiserver");
    // Nothing can be done about a stderr that is closed.
    let _ = writeln!(err, "error: {message} (hint: {})", hint.unwrap_or_default());
    exit
}

fn configure(source: &Source, env: &Env) -> Result<Loaded<ApiserverConfig>, Problem> {
    let loaded = read(source, env)?;
    validate(&loaded).map_err(Problem::Config)?;
    Ok(loaded)
}

fn read(source: &Source, env: &Env) -> Result<Loaded<ApiserverConfig>, Problem> {
    let files = files(source.config.as_deref())?;
    let mut loaded = load(&SETTINGS, &files, env).map_err(Problem::Config)?;
    if source.dev_iam {
        loaded.config.dev_iam.enabled = true;
        loaded.origins.insert("dev_iam.enabled", Origin::Flag("--dev-iam"));
    }
    Ok(loaded)
}

/// The named file, which must exist, or those of the standard places that do.
fn files(named: Option<&Path>) -> Result<Vec<ConfigFile>, Problem> {
    if let Some(path) = named {
        let file =
            ConfigFile::read(path).map_err(|source| Problem::File { path: path.to_owned(), source })?;
        return Ok(vec![file]);
    }
    let user =
        directories::ProjectDirs::from("", "", "qs-scheduler").map(|dirs| dirs.config_dir().join(FILE));
    let places = [Some(Path::new("/etc/qs-server").join(FILE)), user];
    let mut found = Vec::new();
    for path in places.into_iter().flatten() {
        match ConfigFile::read(&path) {
            Ok(file) => found.push(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Problem::File { path, source }),
        }
    }
    Ok(found)
}

fn show(loaded: &Loaded<ApiserverConfig>) -> String {
    let line = |setting: &Setting<ApiserverConfig>| {
        let value = (setting.show)(&loaded.config);
        format!("{} = {value}  # {}", setting.key, loaded.origin(setting.key))
    };
    let mut text = SETTINGS.iter().map(line).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(args: &[&str], env: &Env) -> (Option<Exit>, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let next = run(args.iter().map(OsString::from), env, &mut out, &mut err);
        let exit = match next {
            Next::Serve(_) => None,
            Next::End(exit) => Some(exit),
        };
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn data_goes_to_stdout_and_errors_are_one_line() {
        let env = Env::default();
        let (exit, out, err) = end(&["qs-apiserver", "config", "default"], &env);
        assert_eq!((exit, out.as_str(), err.as_str()), (Some(Exit::Ok), DEFAULT_YAML, ""));
        let (exit, out, _) = end(&["qs-apiserver", "--version"], &env);
        assert_eq!((exit, out.starts_with("qs-apiserver ")), (Some(Exit::Ok), true));
        let (exit, out, err) = end(&["qs-apiserver", "serv"], &env);
        assert_eq!((exit, out.as_str()), (Some(Exit::Usage), ""));
        assert!(err.contains("serve"), "{err}");
        let (exit, _, err) = end(&["qs-apiserver", "serve", "--config", "/nonexistent"], &env);
        assert_eq!((exit, err.lines().count()), (Some(Exit::NoInput), 1), "{err}");
    }

    #[test]
    fn the_flag_wins_and_show_names_every_origin() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "dev_iam: {enabled: false}\n").unwrap();
        let path = path.to_str().unwrap();
        let env = Env::from([("QS_DATABASE__URL", "sqlite:/x")]);
        let (exit, out, _) = end(&["qs-apiserver", "config", "show", "--dev-iam", "--config", path], &env);
        assert_eq!(exit, Some(Exit::Ok));
        assert!(out.contains("dev_iam.enabled = true  # option --dev-iam\n"), "{out}");
        assert!(out.contains("database.url = [secret]  # environment QS_DATABASE__URL\n"), "{out}");
        let (exit, _, err) = end(&["qs-apiserver", "serve", "--config", path], &env);
        assert_eq!((exit, err.lines().count()), (Some(Exit::Config), 1), "{err}");
        assert_eq!(end(&["qs-apiserver", "serve", "--dev-iam", "--config", path], &env).0, None);
    }
}
