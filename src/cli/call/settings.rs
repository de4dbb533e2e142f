//! Everything a command needs to know before it does anything: configuration, places, environment.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::options;
use crate::cli::config_files;
use crate::cli::output::Failure;
use crate::client::call::CallPolicy;
use crate::client::keeper::KeeperOptions;
use crate::client::token::TokenPolicy;
use crate::client::token_file::TokenFile;
use crate::client::transport::{TransportOptions, proxies_of};
use crate::config::call::{CallConfig, SETTINGS};
use crate::config::{Env, Loaded, load};
use crate::crontab::call_line::Common;
use crate::crontab::invocation::{Invocation, default_log};
use crate::domain::exit::Exit;
use crate::domain::retry::RetryPolicy;
use crate::files;
use crate::journal::rotation::Rotation;
use crate::secret::Redactor;

/// File name of the configuration.
const FILE: &str = "qs-api-call.yaml";
const SYSTEM_STATE: &str = "/var/lib/qs-scheduler";
const SYSTEM_LOG: &str = "/var/log/qs-scheduler";

/// The configuration with all its layers, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The values and their origins.
    pub loaded: Loaded<CallConfig>,
    /// Configuration files that were read, weakest first.
    pub files: Vec<PathBuf>,
    /// Run records, locks and, for users other than root, the token and the default log.
    pub state_dir: PathBuf,
    /// The token file.
    pub token_path: PathBuf,
    /// The log.
    pub log_path: PathBuf,
    env: EnvironmentPart,
}

/// What is used of the environment beside the settings.
#[derive(Clone, Debug)]
struct EnvironmentPart {
    credentials_directory: Option<PathBuf>,
    ssl_cert_file: Option<PathBuf>,
    traceparent: Option<String>,
    proxies: TransportOptions,
}

impl Settings {
    /// Reads every layer: files, environment, options.
    ///
    /// # Errors
    /// Everything that is wrong with them (78), or the file that is named and not there (66).
    pub(super) fn resolve(env: &Env, invocation: &Invocation, common: &Common) -> Result<Self, Failure> {
        let user = ProjectDirs::from("", "", "qs-scheduler");
        let files = config_files::read(common.config.as_deref(), FILE)?;
        let mut loaded = load(&SETTINGS, &files, env)?;
        options::apply(&mut loaded, invocation, common);
        if !loaded.config.token.allow_insecure_permissions {
            config_files::check_modes(&SETTINGS, &loaded, env)?;
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
        let token_path = match &config.token.file {
            Some(path) => path.clone(),
            None if root => Path::new(config_files::SYSTEM).join("internal-token"),
            None => state_dir.join("internal-token"),
        };
        let log_dir = config
            .log
            .dir
            .clone()
            .unwrap_or_else(|| if root { SYSTEM_LOG.into() } else { state_dir.clone() });
        let log_path = config.log.file.clone().unwrap_or_else(|| default_log(&log_dir));
        let get = |name: &str| env.get(name).map(str::to_owned);
        Ok(Self {
            files: files.into_iter().map(|file| file.path).collect(),
            state_dir,
            token_path,
            log_path,
            env: EnvironmentPart {
                credentials_directory: config_files::credentials_directory(env),
                ssl_cert_file: get("SSL_CERT_FILE").map(PathBuf::from),
                traceparent: get("TRACEPARENT"),
                proxies: proxies_of(get, TransportOptions::default()),
            },
            loaded,
        })
    }

    /// `$CREDENTIALS_DIRECTORY`.
    pub(super) fn credentials_directory(&self) -> Option<&Path> {
        self.env.credentials_directory.as_deref()
    }

    /// The values.
    pub(super) fn config(&self) -> &CallConfig {
        &self.loaded.config
    }

    /// The caller's trace, if any.
    pub(super) fn traceparent(&self) -> Option<&str> {
        self.env.traceparent.as_deref()
    }

    /// The token file.
    pub(super) fn token_file(&self) -> TokenFile {
        TokenFile::new(&self.token_path, self.config().token.allow_insecure_permissions)
    }

    /// Directory of the metrics textfiles.
    pub(super) fn metrics_dir(&self) -> PathBuf {
        self.config().state.metrics_dir.clone().unwrap_or_else(|| self.state_dir.join("metrics"))
    }

    /// Directory of the run records.
    pub(super) fn records_dir(&self) -> PathBuf {
        self.state_dir.join("tasks")
    }

    /// Directory of the overlap locks.
    pub(super) fn locks_dir(&self) -> PathBuf {
        self.state_dir.join("locks")
    }

    /// When the log is rotated.
    pub(super) fn rotation(&self) -> Rotation {
        let log = &self.config().log;
        Rotation {
            size: log.rotate_size.0,
            age: log.rotate_age,
            keep: log.rotate_keep,
            compress: log.compress,
        }
    }

    /// How a call is judged and repeated. Methods that RFC 9110 calls idempotent need no declaration.
    pub(super) fn call_policy(&self, method: &str) -> CallPolicy {
        let call = &self.config().call;
        let repeatable = call.idempotent || matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
        CallPolicy {
            attempt_timeout: call.attempt_timeout,
            retry: RetryPolicy { idempotent: repeatable, keyed: true, ..self.retry_policy() },
            success_codes: call.success_codes.clone(),
        }
    }

    /// A login may always be repeated: it changes nothing but the clock of the lock-out, and only a rejection does that.
    fn retry_policy(&self) -> RetryPolicy {
        let call = &self.config().call;
        RetryPolicy {
            retries: call.retries,
            base: call.retry_base,
            cap: call.retry_cap,
            idempotent: true,
            keyed: false,
        }
    }

    /// How the token is kept.
    pub(super) fn keeper_options(&self, force_login: bool) -> KeeperOptions {
        let token = &self.config().token;
        KeeperOptions {
            policy: TokenPolicy { skew: token.skew, max_age: token.max_age },
            lock_wait: token.lock_wait,
            login_timeout: self.config().iam.timeout,
            retry: self.retry_policy(),
            force_login,
        }
    }

    /// How connections are made.
    pub(super) fn transport_options(&self) -> TransportOptions {
        let config = self.config();
        let proxies =
            if config.call.no_proxy { TransportOptions::default() } else { self.env.proxies.clone() };
        TransportOptions {
            connect_timeout: config.call.connect_timeout,
            max_body: config.call.max_body.0,
            cacert: config.tls.cacert.clone(),
            ssl_cert_file: self.env.ssl_cert_file.clone(),
            identity: config.tls.cert.clone().zip(config.tls.key.clone()),
            allow_insecure_permissions: config.token.allow_insecure_permissions,
            credentials_directory: self.env.credentials_directory.clone(),
            ..proxies
        }
    }

    /// The secrets that are configured by value: a server may repeat even one that it was not sent.
    pub(super) fn redactor(&self) -> Redactor {
        let config = self.config();
        let mut redactor = Redactor::default();
        for secret in
            [&config.iam.password, &config.iam.client_secret, &config.ping.url].into_iter().flatten()
        {
            redactor.add(&secret.0);
        }
        redactor
    }
}

/// The host's name, as the kernel has it.
pub(super) fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
