//! The command line of `qs-apiserver`: arguments and files become a checked configuration. Starting it is `app`'s part.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::output::{Failure, Output, usage};
use super::server::health::Health;
use super::server::{self, Action, ConfigCommand, Migrate};
use crate::config::apiserver::{ApiserverConfig, DEFAULT_YAML, SETTINGS, validate, validate_stores};
use crate::config::{Env, Loaded, Origin};

/// The program's name, in usage and errors.
pub const PROGRAM: &str = "qs-apiserver";

/// The file that is looked for in each configuration directory.
const FILE: &str = "qs-apiserver.yaml";

const EXAMPLES: &str = "\
Examples:
  qs-apiserver serve --dev-iam
  QS_SERVER__ADDR=127.0.0.1:0 QS_DATABASE__URL=sqlite:/tmp/qs.db qs-apiserver serve --dev-iam
  QS_DATABASE__URL_FILE=/etc/qs-server/mysql-url QS_REDIS__URL=redis://127.0.0.1 qs-apiserver migrate --check
  qs-apiserver health
  qs-apiserver config default > qs-apiserver.yaml
  qs-apiserver openapi > openapi.json
  qs-apiserver config show --config qs-apiserver.yaml

On stdout the server prints one line, `listening on http://ADDRESS`, once it accepts requests; before it, with a
generated password, `dev-iam username=NAME password=PASSWORD`. The log goes to stderr.

The first SIGTERM, SIGINT or SIGHUP ends it in order: what is under way gets the grace. A second one ends it at once.
Under nohup, SIGHUP stays ignored. SIGUSR1, SIGUSR2 and others without a meaning here do nothing; SIGQUIT ends it at
once, with a core.

Exit codes: 0 stopped by a signal, 1 a schema change is missing, 64 wrong command line, 66 a named file is missing, 73 the state
directory or the log cannot be created, 74 the address or the database cannot be opened, 75 the server that was asked
is not ready, 78 wrong or unsafe configuration, 129, 130 or 143 cut off by a second SIGHUP, SIGINT or SIGTERM.";

/// The business endpoints that the crontab calls.
#[derive(Debug, Parser)]
#[command(name = "qs-apiserver", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM, SIGINT or SIGHUP.
    Serve(Source),
    /// Takes the schema changes that the database lacks.
    Migrate(Migrate<ConfigSource>),
    /// Asks the running server whether it is ready: for health checks of containers.
    Health {
        #[command(flatten)]
        source: ConfigSource,
        #[command(flatten)]
        health: Health,
    },
    /// Prints the OpenAPI document of its routes, without starting anything.
    Openapi,
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand<Source>),
}

#[derive(Debug, Args)]
struct ConfigSource {
    /// Reads only this file instead of /etc/qs-server/qs-apiserver.yaml and the user's own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Source {
    #[command(flatten)]
    file: ConfigSource,
    /// Runs the IAM for development inside this server instead of a real one; only on a loopback address.
    #[arg(long)]
    dev_iam: bool,
}

/// Reads the command line and does everything but what needs a database: the task, or `None` when nothing is left to
/// do.
///
/// # Errors
/// Wrong usage, a configuration that is wrong or cannot be read, or a server that was asked and is not ready.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    env: &Env,
    output: Output,
) -> Result<Option<Action<ApiserverConfig>>, Failure> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, output).map(|()| None),
    };
    match cli.command {
        Command::Serve(source) => {
            let loaded = source.read(env)?;
            validate(&loaded)?;
            Ok(Some(Action::Serve(loaded.config)))
        }
        Command::Migrate(Migrate { source, check }) => {
            let loaded = source.read(env)?;
            validate_stores(&loaded)?;
            Ok(Some(Action::Migrate { config: loaded.config, check }))
        }
        Command::Health { source, health } => {
            health.run(|| Ok(source.read(env)?.config.server.addr), env, output).map(|()| None)
        }
        Command::Openapi => Ok(Some(Action::Openapi)),
        Command::Config(ConfigCommand::Default) => output.data(DEFAULT_YAML).map(|()| None),
        Command::Config(ConfigCommand::Show(source)) => {
            output.data(&server::show(&SETTINGS, &source.read(env)?)).map(|()| None)
        }
    }
}

impl ConfigSource {
    fn read(&self, env: &Env) -> Result<Loaded<ApiserverConfig>, Failure> {
        server::read(&SETTINGS, self.config.as_deref(), FILE, env)
    }
}

impl Source {
    fn read(&self, env: &Env) -> Result<Loaded<ApiserverConfig>, Failure> {
        let mut loaded = self.file.read(env)?;
        if self.dev_iam {
            loaded.config.dev_iam.enabled = true;
            loaded.origins.insert("dev_iam.enabled", Origin::Flag("--dev-iam"));
        }
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_flag_wins_and_show_names_every_origin() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "dev_iam: {enabled: false}\n").unwrap();
        let env = Env::from([("QS_DATABASE__URL", "sqlite:/x")]);
        let source = |dev_iam| Source { file: ConfigSource { config: Some(path.clone()) }, dev_iam };
        let shown = server::show(&SETTINGS, &source(true).read(&env).unwrap());
        assert!(shown.contains("dev_iam.enabled = true  # option --dev-iam\n"), "{shown}");
        assert!(shown.contains("database.url = [secret]  # environment QS_DATABASE__URL\n"), "{shown}");
        assert!(validate(&source(false).read(&env).unwrap()).is_err());
    }

    #[test]
    fn a_file_with_a_password_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "dev_iam: {enabled: true, password: hunter2}\n").unwrap();
        let source = ConfigSource { config: Some(path.clone()) };
        for (mode, accepted) in [(0o644, false), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(source.read(&Env::default()).is_ok(), accepted, "{mode:o}");
        }
    }
}
