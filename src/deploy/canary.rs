//! One call of the new crontab tried out as cron would make it: the same program, user and settings. It is the check of
//! the call, so nothing is done on the server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::DeployError;
use super::host::{self, Host, User};
use super::process;
use super::stop::Stop;
use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};

/// Longest time that it may take: login, connections and one question.
const LIMIT: Duration = Duration::from_secs(90);
/// What cron sets unless the file does.
const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// Which call is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first of the file.
    #[default]
    First,
    /// The one of this endpoint, else this endpoint with the settings of the first.
    Endpoint(String),
    /// None.
    None,
}

/// A call to try.
#[derive(Debug)]
pub(super) struct Canary<'a> {
    entry: &'a CrontabEntry,
    call: &'a Call,
    /// What is asked for.
    pub(super) endpoint: String,
    /// The first call of every other target: each has an address and a login of its own.
    others: Vec<Canary<'a>>,
}

impl<'a> Canary<'a> {
    /// The one that was chosen; none when the file makes no call.
    pub(super) fn choose(crontab: &'a Crontab, choice: &Choice) -> Option<Self> {
        let mut calls = crontab.entries().filter_map(|entry| {
            let call = entry.call()?;
            let endpoint = call.line.invocation.endpoint.clone().unwrap_or_default();
            Some(Self { entry, call, endpoint, others: Vec::new() })
        });
        let mut first = calls.next()?;
        match choice {
            Choice::None => None,
            Choice::Endpoint(wanted) if first.endpoint != *wanted => {
                let found = calls.find(|call| call.endpoint == *wanted).unwrap_or(first);
                Some(Self { endpoint: wanted.clone(), ..found })
            }
            Choice::First => {
                for call in calls {
                    let mut known = std::iter::once(&first).chain(&first.others);
                    if known.all(|other| other.target() != call.target()) {
                        first.others.push(call);
                    }
                }
                Some(first)
            }
            Choice::Endpoint(_) => Some(first),
        }
    }

    fn target(&self) -> Option<&str> {
        self.call.line.invocation.target.as_deref()
    }

    /// Tries it and the other targets', and says what was good.
    pub(super) async fn try_out(
        &self,
        host: &Host,
        users: &[User],
        stop: &mut Stop,
    ) -> Result<String, DeployError> {
        let mut good = self.try_one(host, users, stop).await?;
        for other in &self.others {
            good = format!("{good}; {}", other.try_one(host, users, stop).await?);
        }
        Ok(good)
    }

    async fn try_one(&self, host: &Host, users: &[User], stop: &mut Stop) -> Result<String, DeployError> {
        // What the check complains of names the target already.
        let failed = |what: String| DeployError::Canary(format!("{}: {what}", self.endpoint));
        let name = self.entry.user.as_deref().unwrap_or("root");
        let user = users.iter().find(|user| user.name == name);
        let user = user.ok_or_else(|| failed(format!("there is no user {name}")))?;
        let program =
            self.program(host).ok_or_else(|| failed(format!("there is no {}", self.call.program)))?;
        let mut command = if user.uid == host::own_uid() {
            process::command(&program)
        } else {
            let setpriv = host.tool("setpriv").ok_or_else(|| failed("there is no setpriv".to_owned()))?;
            let mut command = process::command(&setpriv);
            let (uid, gid) = (format!("--reuid={}", user.uid), format!("--regid={}", user.gid));
            command.args([uid, gid, "--init-groups".to_owned(), "--".to_owned()]).arg(&program);
            command
        };
        command.env_clear().envs(self.environment(user)).args(self.options()).args(["check", &self.endpoint]);
        let home = Path::new(&user.home);
        command.current_dir(if home.is_dir() { home } else { Path::new("/") });
        let ran =
            stop.or(process::run(&mut command, LIMIT)).await?.map_err(|error| failed(error.to_string()))?;
        if ran.status.success() {
            let good = "login and endpoint are good; it was not called";
            let target = self.target().map(|target| format!(" of target {target}")).unwrap_or_default();
            return Ok(format!("{}{target} as {name}: {good}", self.endpoint));
        }
        let complaint = ran.complaint();
        let complaint = complaint.strip_prefix("qs-api-call: ").unwrap_or(&complaint);
        let code = ran.status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"));
        Err(failed(format!("{} ({code})", complaint.strip_prefix("check: ").unwrap_or(complaint))))
    }

    /// The program that the line names, as the shell would find it.
    fn program(&self, host: &Host) -> Option<PathBuf> {
        let program = &self.call.program;
        if program.contains('/') {
            return Some(host.path(program)).filter(|path| path.is_file());
        }
        let path = self.entry.setting("PATH").unwrap_or(DEFAULT_PATH);
        path.split(':').map(|dir| host.path(Path::new(dir).join(program))).find(|path| path.is_file())
    }

    /// What cron gives the shell, and the line the program.
    fn environment(&self, user: &User) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let defaults = [("SHELL", "/bin/sh"), ("PATH", DEFAULT_PATH), ("HOME", &user.home)];
        let settings = self.entry.environment.iter().cloned().map(|setting| (setting.name, setting.value));
        let mut environment: Vec<_> = defaults.into_iter().map(own).chain(settings).collect();
        environment.extend(self.call.assignments.iter().cloned());
        // Cron does not let a crontab say who it is.
        environment.push(("LOGNAME".to_owned(), user.name.clone()));
        if let Some(log) = &self.call.line.invocation.log_file {
            environment.retain(|(name, _)| name != "LOG_FILE");
            environment.push(("QS_LOG__FILE".to_owned(), log.display().to_string()));
        }
        environment
    }

    /// The options of the line that decide whether the server can be reached.
    fn options(&self) -> Vec<String> {
        let (invocation, common) = (&self.call.line.invocation, &self.call.line.common);
        let paths = [
            ("--config", &common.config),
            ("--state-dir", &common.state_dir),
            ("--cacert", &invocation.cacert),
            ("--cert", &invocation.cert),
            ("--key", &invocation.key),
        ];
        let flags = [
            ("--allow-insecure-permissions", common.allow_insecure_permissions),
            ("--no-proxy", invocation.no_proxy),
            ("--allow-plaintext", invocation.allow_plaintext),
            ("--no-auth", invocation.no_auth),
        ];
        let paths = paths
            .into_iter()
            .filter_map(|(option, path)| Some([option.to_owned(), path.as_ref()?.display().to_string()]));
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(option, _)| option.to_owned());
        let target = invocation.target.iter().flat_map(|name| ["--target".to_owned(), name.clone()]);
        paths.flatten().chain(flags).chain(target).collect()
    }
}
