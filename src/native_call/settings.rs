//! Everything that must be known before a call is made: configuration, places, environment.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::{options, token_place};
use crate::client::transport::{Transport, TransportOptions};
use crate::client::{Client, ClientSettings};
use crate::clock::SharedClock;
use crate::config::call::{CallConfig, CallTargets};
use crate::config::files::{self as config_files, Found};
use crate::config::{Env, Loaded, Origin, SecretText};
use crate::crontab::call_line::Common;
use crate::crontab::invocation::{Invocation, default_log};
use crate::domain::exit::Exit;
use crate::domain::failure::Failure;
use crate::files;
use crate::journal::JournalSettings;
use crate::journal::rotation::Rotation;
use crate::notify::ping;

/// File name of the configuration.
const FILE: &str = "qs-api-call.yaml";
const SYSTEM_STATE: &str = "/var/lib/qs-scheduler";
const SYSTEM_LOG: &str = "/var/log/qs-scheduler";

/// The configuration with all its layers, and what follows from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The values and their origins.
    pub loaded: Loaded<CallConfig>,
    /// The names of every target.
    pub targets: Vec<String>,
    /// Configuration files that were read, weakest first.
    pub files: Vec<PathBuf>,
    /// Why the system's configuration file could not be seen, if it is there; the user's own settings suffice.
    pub unseen: Option<String>,
    /// Run records, locks and, for users other than root, the token and the default log.
    pub state_dir: PathBuf,
    /// The token file.
    pub token_path: PathBuf,
    /// The log.
    pub log_path: PathBuf,
    transport: TransportOptions,
    /// The caller's trace, if any.
    pub traceparent: Option<String>,
}

impl Settings {
    /// Reads every layer: files, environment, options.
    ///
    /// # Errors
    /// Everything that is wrong with them (78), or the file that is named and not there (66).
    pub fn resolve(env: &Env, invocation: &Invocation, common: &Common) -> Result<Self, Failure> {
        let user = ProjectDirs::from("", "", "qs-scheduler");
        let Found { files, unseen } = config_files::read(common.config.as_deref(), FILE)?;
        let targets = CallTargets::read(&files, env)?;
        let all: Vec<Loaded<CallConfig>> = if targets.named.is_empty() {
            Vec::new()
        } else {
            std::iter::once(&targets.unnamed).chain(targets.named.values()).cloned().collect()
        };
        let mut loaded = targets.choose(invocation.target.as_deref())?;
        // Without the system's file a call could go to the default server; with the user's own it goes where they said.
        let unseen = match unseen {
            Some(failure) if loaded.origin("api.base_url") == Origin::Default => return Err(failure),
            unseen => unseen.map(|failure| failure.message),
        };
        options::apply(&mut loaded, invocation, common);
        if !loaded.config.token.allow_insecure_permissions {
            for loaded in std::iter::once(&loaded).chain(&all) {
                config_files::check_modes(loaded, env)?;
            }
        }
        let config = &loaded.config;
        let root = files::is_root();
        let state_dir = match (&config.state.dir, root, &user) {
            (Some(dir), ..) => dir.clone(),
            (None, true, _) => PathBuf::from(SYSTEM_STATE),
            (None, false, Some(user)) => user.state_dir().unwrap_or_else(|| user.data_local_dir()).to_owned(),
            (None, false, None) => {
                return Err(Failure::new(Exit::Config, "no home directory is known")
                    .with_hint("set state.dir or --state-dir"));
            }
        };
        let token_dir = if root { Path::new(config_files::SYSTEM) } else { state_dir.as_path() };
        token_place::check(&all, token_dir)?;
        let token_path = token_place::of(&loaded, token_dir);
        let log_dir = config
            .log
            .dir
            .clone()
            .unwrap_or_else(|| if root { SYSTEM_LOG.into() } else { state_dir.clone() });
        let log_path = config.log.file.clone().unwrap_or_else(|| default_log(&log_dir));
        Ok(Self {
            files: files.into_iter().map(|file| file.path).collect(),
            unseen,
            state_dir,
            token_path,
            log_path,
            transport: TransportOptions::new(config, env),
            traceparent: env.get("TRACEPARENT").map(str::to_owned),
            targets: all.iter().filter_map(|loaded| loaded.target.clone()).collect(),
            loaded,
        })
    }

    /// The target, if it is not the unnamed one.
    pub fn target(&self) -> Option<&str> {
        self.loaded.target.as_deref()
    }

    /// The same for one task: its name is put into `ping.url`. Made before anything else, so that what is redacted is the
    /// URL that is used.
    #[must_use]
    pub fn of_task(&self, task: &str) -> Self {
        let mut own = self.clone();
        if let Some(SecretText(url)) = &mut own.loaded.config.ping.url {
            *url = ping::of_task(url, task);
        }
        own
    }

    /// The values.
    pub fn config(&self) -> &CallConfig {
        &self.loaded.config
    }

    /// Directory of the metrics textfiles.
    pub fn metrics_dir(&self) -> PathBuf {
        self.config().state.metrics_dir.clone().unwrap_or_else(|| self.state_dir.join("metrics"))
    }

    /// Directory of the run records.
    pub fn records_dir(&self) -> PathBuf {
        Self::records_in(&self.state_dir)
    }

    /// The same in another state directory.
    pub fn records_in(state_dir: &Path) -> PathBuf {
        state_dir.join("tasks")
    }

    /// Directory of the overlap locks.
    pub fn locks_dir(&self) -> PathBuf {
        self.state_dir.join("locks")
    }

    /// When the log is rotated.
    pub fn rotation(&self) -> Rotation {
        let log = &self.config().log;
        Rotation {
            size: log.rotate_size.0,
            age: log.rotate_age,
            keep: log.rotate_keep,
            compress: log.compress,
        }
    }

    /// What a client needs to know.
    pub fn of_client(&self, force_login: bool) -> ClientSettings {
        ClientSettings {
            config: self.config().clone(),
            transport: self.transport.clone(),
            token_file: self.token_path.clone(),
            force_login,
        }
    }

    /// What makes the calls.
    pub fn client(&self, force_login: bool, clock: SharedClock) -> Client {
        Client::new(self.of_client(force_login), clock)
    }

    /// What connects.
    pub fn transport(&self) -> Transport {
        Transport::new(self.transport.clone())
    }

    /// The directories that nobody has set.
    fn default_dirs(&self) -> Vec<PathBuf> {
        let config = self.config();
        let state = config.state.dir.is_none().then(|| self.state_dir.clone());
        let log = config.log.file.is_none() && config.log.dir.is_none();
        state.into_iter().chain(log.then(|| files::parent(&self.log_path).to_owned())).collect()
    }

    /// Where and how runs are written down.
    pub fn journal(&self) -> JournalSettings {
        let config = self.config();
        JournalSettings {
            log_path: self.log_path.clone(),
            rotation: self.rotation(),
            format: config.log.format,
            body_limit: config.log.body_limit.0,
            default_dirs: self.default_dirs(),
            records_dir: self.records_dir(),
            history: config.state.history.into(),
            metrics_dir: self.metrics_dir(),
            locks_dir: self.locks_dir(),
            lock_wait: files::LOCK_WAIT,
        }
    }
}
