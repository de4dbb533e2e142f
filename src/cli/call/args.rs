//! The command line of `qs-api-call`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use super::crontab::CrontabCommand;
use super::crontab::args::ReadingArgs;
use crate::crontab::call_line::{COMMANDS, CallLine, CallOptions, Common};
use crate::crontab::invocation::Invocation;
use crate::domain::exit::Exit;

/// Calls an authenticated HTTP endpoint and tells the truth about it
///
/// Made for crontab lines: silent on success, one line on standard error on failure, everything in the log. The token
/// is cached in a file and renewed before it ends, once for any number of processes. A call is a success only when the
/// HTTP status *and* the reply's own code say so.
#[derive(Debug, Parser)]
#[command(name = "qs-api-call", version, subcommand_negates_reqs = true, after_long_help = after_help(), after_help = SHORT)]
#[command(override_usage = "qs-api-call [OPTIONS] <ENDPOINT> [LOG_FILE]\n       qs-api-call <COMMAND>")]
pub struct Cli {
    /// What is called, and how.
    #[command(flatten)]
    pub invocation: Invocation,

    /// How the call is shown.
    #[command(flatten)]
    pub call: CallOptions,

    /// What every command takes.
    #[command(flatten)]
    pub common: Common,

    /// What to do instead of a call.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// What is called, with the target that the command names: an option counts wherever it stands.
    pub(super) fn aimed(&self) -> Invocation {
        let of_command = match &self.command {
            Some(Command::Token(args)) => args.target.as_ref(),
            Some(Command::Check(args)) if args.all_targets => {
                return Invocation { target: None, ..self.invocation.clone() };
            }
            Some(Command::Check(args)) => args.target.as_ref(),
            Some(Command::Config(ConfigCommand::Show(args))) => args.target.as_ref(),
            _ => None,
        };
        let mut invocation = self.invocation.clone();
        invocation.target = of_command.cloned().or(invocation.target);
        invocation
    }

    /// Reads a command line, with as little of a parser as it needs: to build the whole of it takes longer than to make
    /// the connection. A path and a log file, which is what most crontab lines are, need none; a line that names no
    /// command is read without the commands; whatever is not a plain call is then read in full.
    ///
    /// # Errors
    /// What is wrong with it, or help that was asked for.
    pub fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        let (call, common) = (CallOptions::default(), Common::default());
        if let Some(invocation) = plain(args.get(1..).unwrap_or_default()) {
            return Ok(Self { invocation, call, common, command: None });
        }
        let names_a_command = |arg: &OsString| COMMANDS.iter().any(|command| arg == command);
        if !args.iter().skip(1).any(names_a_command)
            && let Ok(CallLine { invocation, call, common }) = CallLine::try_parse_from(args)
        {
            return Ok(Self { invocation, call, common, command: None });
        }
        let cli = Self::try_parse_from(args)?;
        match cli.misplaced() {
            Some(message) => Err(Self::command().error(ErrorKind::ArgumentConflict, message)),
            None => Ok(cli),
        }
    }

    /// What stands before a command and is not for it: nothing that is written may be ignored, `--dry-run` least of all.
    fn misplaced(&self) -> Option<String> {
        self.command.as_ref()?;
        let Invocation { endpoint, log_file, method, data, query, header, task, .. } = &self.invocation;
        let file = log_file.as_ref().map(|path| path.display().to_string());
        if let Some(word) = endpoint.clone().or(file) {
            return Some(format!("{word:?} before a command: a call and a command are two lines"));
        }
        let call = &self.call;
        let given = [
            ("--dry-run", call.dry_run),
            ("--json", call.json),
            ("--verbose", call.verbose > 0),
            ("--manual", call.manual),
            ("--force-login", call.force_login),
            ("--method", method.is_some()),
            ("--data", data.is_some()),
            ("--query", !query.is_empty()),
            ("--header", !header.is_empty()),
            ("--task", task.is_some()),
            ("--wait", self.invocation.wait),
            ("--output", self.invocation.output.is_some()),
            ("--no-body", self.invocation.no_body),
        ];
        let (name, _) = given.into_iter().find(|(_, given)| *given)?;
        Some(format!("{name} before a command is for a call: write it behind the command, if that has it"))
    }
}

/// `/path` or `/path /log/file`: nothing in it can be an option or a command.
fn plain(args: &[OsString]) -> Option<Invocation> {
    let (endpoint, log_file) = match args {
        [endpoint] => (endpoint, None),
        [endpoint, log_file] => (endpoint, Some(log_file)),
        _ => return None,
    };
    let endpoint = endpoint.to_str().filter(|endpoint| endpoint.starts_with('/'))?.to_owned();
    let log_file = log_file.map(PathBuf::from);
    let is_plain = log_file.as_ref().is_none_or(|path| path.is_absolute());
    is_plain.then(|| Invocation { endpoint: Some(endpoint), log_file, ..Invocation::default() })
}

/// Commands for humans.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at, renew, remove or print the cached token
    Token(TokenArgs),
    /// Check configuration, file modes, names, TLS, login and endpoint, without showing a secret
    #[command(
        after_help = "Examples:\n  qs-api-call check\n  qs-api-call check /api/v1/statistics/sync/daily\n  qs-api-call check --target prod\n  qs-api-call check --all-targets\n  qs-api-call check --json"
    )]
    Check(CheckArgs),
    /// One row per task: last run, outcome, duration, success rate
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// The last runs of a task, or of all
    #[command(
        after_help = "Examples:\n  qs-api-call history\n  qs-api-call history statistics-sync-daily -n 50\n  qs-api-call history --json"
    )]
    History(HistoryArgs),
    /// Remove the records, locks and metrics of tasks that are no more
    #[command(
        after_help = "Examples:\n  qs-api-call forget statistics-sync-weekly\n  qs-api-call forget --not-in /etc/cron.d/qs-scheduler\n  qs-api-call forget --json statistics-sync-weekly\n\nExit code 66 when there is no such task, 75 when a run of it is under way."
    )]
    Forget(ForgetArgs),
    /// What an exit code means and what to do about it
    #[command(
        after_help = "Examples:\n  qs-api-call explain 124\n  qs-api-call explain try_later\n  qs-api-call explain"
    )]
    Explain(ExplainArgs),
    /// Check, explain, render and deploy the crontab that makes the calls
    #[command(subcommand)]
    Crontab(CrontabCommand),
    /// Show the settings in force, or the commented default file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  qs-api-call completions bash > /etc/bash_completion.d/qs-api-call")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  qs-api-call man > /usr/local/share/man/man1/qs-api-call.1")]
    Man,
}

/// `token …`
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The token of this target instead of the unnamed one's
    #[arg(long, value_name = "NAME", global = true)]
    pub target: Option<String>,
    /// What to do with it.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What can be done with a token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Where the token is, how old it is and when it ends; never the token itself
    Status(JsonArgs),
    /// Log in and replace the token
    Refresh {
        /// Log in although the last login with this credential was rejected
        #[arg(long)]
        force_login: bool,
    },
    /// Remove the token and what is remembered about logins
    Clear,
    /// Print a valid token on standard output, for other tools; logs in when there is none
    #[command(
        after_help = "Example:\n  curl -H \"Authorization: Bearer $(qs-api-call token print)\" https://…\nThe shell then shows the token in curl's command line; prefer curl's -H @- with standard input."
    )]
    Print,
}

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The settings in force and where each comes from; secrets are hidden
    Show(ShowArgs),
    /// The commented default file
    Default,
}

/// `check …`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Also ask whether this endpoint exists; it is not called
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: Option<String>,
    /// Check this target of the configuration instead of the unnamed one
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Check the unnamed target and every other one, in turn
    #[arg(long, conflicts_with = "target")]
    pub all_targets: bool,
    /// Log in although the last login with this credential was rejected
    #[arg(long)]
    pub force_login: bool,
    /// As one JSON array
    #[arg(long)]
    pub json: bool,
}

/// `config show …`
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The settings of this target
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A command that can print JSON.
#[derive(Args, Clone, Copy, Debug)]
pub struct JsonArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `status …`
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Compare with this crontab: what never ran, what is overdue, what failed; may be repeated
    #[arg(long, value_name = "FILE")]
    pub crontab: Vec<PathBuf>,
    /// How those are read.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `forget …`
#[derive(Args, Clone, Debug)]
pub struct ForgetArgs {
    /// The tasks
    #[arg(value_name = "TASK", required_unless_present = "not_in")]
    pub names: Vec<String>,
    /// Every task that is in none of these crontabs; may be repeated
    #[arg(long, value_name = "FILE")]
    pub not_in: Vec<PathBuf>,
    /// How those are read.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// As a JSON array of the tasks that were removed
    #[arg(long)]
    pub json: bool,
}

/// `history …`
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// The task; all tasks when not given
    pub name: Option<String>,
    /// How many runs of each task
    #[arg(short, default_value_t = 20)]
    pub n: usize,
    /// As a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `explain …`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Number or name of the exit code; all when not given
    pub code: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  qs-api-call status
  qs-api-call status --json
  sudo qs-api-call status --crontab /etc/cron.d/qs-scheduler
  qs-api-call status --crontab tasks --user-crontab --json | jq '.[] | select(.wrong)'

With --crontab the exit code is 1 when a task of the crontab never ran although it was due, is overdue, or failed last.
A start counts as missed when the task's jitter, its timeout and one minute are over and no run of it is recorded.";

const SHORT: &str = "Exit codes, environment and examples: qs-api-call --help";

/// Examples, exit codes and environment, below the options.
fn after_help() -> String {
    let codes = Exit::ALL.iter().fold(String::new(), |text, exit| {
        let info = exit.info();
        text + &format!("  {:>3}  {:<14} {}\n", info.code, info.name, info.meaning)
    });
    format!(
        "\
Examples:
  qs-api-call /api/v1/statistics/sync/daily /var/log/qs-scheduler/sync-daily.log
  qs-api-call -v --idempotent --retries 5 --timeout 2m /api/v1/statistics/sync/plan
  qs-api-call --data '{{\"start_date\":\"2026-11-01\",\"end_date\":\"2026-11-20\"}}' /api/v1/statistics/sync/daily
  qs-api-call --json /api/v1/statistics/validate | jq .exit_name
  0 * * * * root /usr/local/bin/qs-api-call /api/v1/statistics/sync/daily /var/log/qs-scheduler/sync-daily.log

Exit codes:
{codes}
Environment:
  API_BASE_URL, IAM_BASE_URL, IAM_LOGIN_URL, IAM_USERNAME, IAM_PASSWORD, DEVICE_ID, TOKEN_FILE, LOG_FILE, TIMEOUT
  as in the scripts; IAM_PASSWORD_FILE and $CREDENTIALS_DIRECTORY/iam-password keep the password out of the
  environment. Every key of the configuration is also QS_<SECTION>__<KEY>, and of a target
  QS_TARGETS__<NAME>__<SECTION>__<KEY>. TRACEPARENT is continued, NO_COLOR and HTTPS_PROXY, http_proxy, NO_PROXY and
  SSL_CERT_FILE are obeyed."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Cli::read(&args)
    }

    #[test]
    fn what_stands_before_a_command_is_never_ignored() {
        for line in [
            "qs-api-call --dry-run forget x",
            "qs-api-call --json status",
            "qs-api-call -v check",
            "qs-api-call --force-login check",
            "qs-api-call -d {} token status",
            "qs-api-call tokn status",
            "qs-api-call /api/v1/done status",
        ] {
            let error = read(line).err().unwrap_or_else(|| panic!("{line}"));
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        for line in
            ["qs-api-call --target a check", "qs-api-call --config c.yaml status", "qs-api-call check --json"]
        {
            assert!(read(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_command_is_known_as_one() {
        let mut command = Cli::command();
        command.build();
        let mut names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let mut known = COMMANDS;
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn a_line_reads_the_same_with_and_without_the_commands_in_mind() {
        for line in [
            "qs-api-call /a",
            "qs-api-call /a?b=c#d /tmp/a.log",
            "qs-api-call /a a.log",
            "qs-api-call /a ",
            "qs-api-call http://host/a /tmp/a.log",
            "qs-api-call /a /tmp/a.log --json -vv",
            "qs-api-call --retries 5 --timeout 2m --state-dir /s /a",
            "qs-api-call -- /a",
            "qs-api-call",
            "qs-api-call --help",
            "qs-api-call --version",
            "qs-api-call --unknown /a",
            "qs-api-call /a b c",
            "qs-api-call --retries x /a",
            "qs-api-call status",
            "qs-api-call token",
            "qs-api-call --state-dir /s token status",
            "qs-api-call help man",
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            let whole = Cli::try_parse_from(&args).map(|cli| format!("{cli:?}")).map_err(|e| e.to_string());
            assert_eq!(read(line).map(|cli| format!("{cli:?}")).map_err(|e| e.to_string()), whole, "{line}");
        }
    }
}
