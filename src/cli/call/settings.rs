//! Everything a command needs to know before it does anything: configuration, places, environment.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::args::Common;
use crate::cli::output::Failure;
use crate::client::credentials::{Credential, CredentialError};
use crate::client::iam::{Login, login_path};
use crate::client::keeper::{KeeperOptions, TokenError};
use crate::client::token::TokenPolicy;
use crate::client::token_file::TokenFile;
use crate::client::transport::{TransportOptions, proxies_of};
use crate::client::{address, call::CallPolicy};
use crate::config::call::{CallConfig, Dialect, LogFormat, SETTINGS};
use crate::config::{Bytes, ConfigError, ConfigFile, Env, Loaded, Origin, SecretText, load};
use crate::crontab::invocation::{Invocation, default_log};
use crate::domain::exit::Exit;
use crate::domain::retry::RetryPolicy;
use crate::journal::rotation::Rotation;
use crate::secret::{Redactor, Secret};

/// File name of the configuration.
const FILE: &str = "qs-api-call.yaml";
/// Directory of the system's configuration and of root's token.
const SYSTEM_CONFIG: &str = "/etc/qs-server";
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
    /// Name of this host.
    pub host: String,
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
        let files = config_files(common.config.as_deref(), user.as_ref())?;
        let mut loaded = load(&SETTINGS, &files, env).map_err(|error| config_failure(&error))?;
        apply_options(&mut loaded, invocation, common);
        check_password_in_file(&loaded, &files)?;
        let config = &loaded.config;
        let root = is_root();
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
            None if root => Path::new(SYSTEM_CONFIG).join("internal-token"),
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
            host: host_name(),
            env: EnvironmentPart {
                credentials_directory: get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
                ssl_cert_file: get("SSL_CERT_FILE").map(PathBuf::from),
                traceparent: get("TRACEPARENT"),
                proxies: proxies_of(get, TransportOptions::default()),
            },
            loaded,
        })
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

    /// The login, if it is configured.
    ///
    /// # Errors
    /// What is missing or unsafe.
    pub(super) fn login(&self) -> Result<Login, TokenError> {
        let iam = &self.config().iam;
        let missing = |what: &str, hint: &str| TokenError::Misconfigured(format!("{what} (hint: {hint})"));
        let text = match (&iam.login_url, &iam.base_url) {
            (Some(url), _) => url.0.clone(),
            (None, Some(base)) => format!("{}{}", base.0.trim_end_matches('/'), login_path(iam.dialect)),
            (None, None) => {
                let hint = "set IAM_BASE_URL or iam.base_url, for example https://iam.example.com/api/v1";
                return Err(missing("a login is needed and no IAM address is configured", hint));
            }
        };
        let url = address::base(&text, self.config().call.allow_plaintext)
            .map_err(|error| TokenError::Misconfigured(format!("iam: {error}")))?;
        let oauth2 = iam.dialect == Dialect::OAuth2ClientCredentials;
        let account = if oauth2 { &iam.client_id } else { &iam.username };
        let account = match account.clone() {
            given if oauth2 => given,
            given => self
                .secret_of(
                    "iam-username",
                    iam.username_file.as_ref(),
                    given.map(|name| SecretText(Secret::new(name))),
                )?
                .map(|secret| secret.expose().to_owned()),
        };
        let account = account.ok_or_else(|| {
            if oauth2 {
                missing("no OAuth 2 client is configured", "set IAM_CLIENT_ID or iam.client_id")
            } else {
                missing("IAM_USERNAME is not set", "set it, iam.username, or iam.username_file")
            }
        })?;
        let secret = if oauth2 {
            self.secret_of("iam-client-secret", iam.client_secret_file.as_ref(), iam.client_secret.clone())?
        } else {
            self.secret_of("iam-password", iam.password_file.as_ref(), iam.password.clone())?
        };
        let secret = secret.ok_or_else(|| {
            if oauth2 {
                missing(
                    "no client secret is configured",
                    "set IAM_CLIENT_SECRET_FILE or iam.client_secret_file",
                )
            } else {
                missing("IAM_PASSWORD is not set", "prefer IAM_PASSWORD_FILE or iam.password_file, mode 0600")
            }
        })?;
        Ok(Login {
            url,
            dialect: iam.dialect,
            account,
            secret,
            client_auth: iam.client_auth,
            scope: iam.scope.clone(),
            audience: iam.audience.clone(),
            tenant_id: iam.tenant_id,
            device_id: iam.device_id.replace("$(hostname)", &self.host),
        })
    }

    fn secret_of(
        &self,
        name: &'static str,
        file: Option<&PathBuf>,
        value: Option<SecretText>,
    ) -> Result<Option<Secret>, TokenError> {
        let credential = Credential {
            name,
            directory: self.env.credentials_directory.clone(),
            file: file.cloned(),
            value,
            allow_insecure: self.config().token.allow_insecure_permissions,
        };
        match credential.read() {
            Ok(found) => Ok(found.map(|(secret, _)| secret)),
            Err(error @ CredentialError::Missing { .. }) => Err(TokenError::NoInput(error.to_string())),
            Err(error) => Err(TokenError::Misconfigured(error.to_string())),
        }
    }
}

/// A wrong configuration as a failure of the program.
pub(super) fn config_failure(error: &ConfigError) -> Failure {
    Failure::new(Exit::Config, format!("configuration: {error}"))
}

/// The files to read: the one that is named, or the system's and the user's as far as they exist.
fn config_files(named: Option<&Path>, user: Option<&ProjectDirs>) -> Result<Vec<ConfigFile>, Failure> {
    if let Some(path) = named {
        return match ConfigFile::read(path) {
            Ok(file) => Ok(vec![file]),
            Err(error) => {
                Err(Failure::new(Exit::NoInput, format!("configuration {}: {error}", path.display())))
            }
        };
    }
    let mut files = Vec::new();
    let user = user.map(|user| user.config_dir().join(FILE));
    for path in [Some(Path::new(SYSTEM_CONFIG).join(FILE)), user].into_iter().flatten() {
        match ConfigFile::read(&path) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // A file that is there and cannot be read must not silently leave the defaults in force.
            Err(error) => {
                return Err(Failure::new(Exit::Config, format!("configuration {}: {error}", path.display()))
                    .with_hint("make it readable for this user, or name another with --config"));
            }
        }
    }
    Ok(files)
}

/// A secret in a configuration file makes that file a secret.
fn check_password_in_file(loaded: &Loaded<CallConfig>, files: &[ConfigFile]) -> Result<(), Failure> {
    if loaded.config.token.allow_insecure_permissions {
        return Ok(());
    }
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let Origin::File { path, .. } = loaded.origin(setting.key) else { continue };
        if !files.iter().any(|file| file.path == path) {
            continue;
        }
        let verdict =
            std::fs::File::open(&path).and_then(|file| crate::files::check_secret_mode(&path, &file));
        if let Ok(Err(insecure)) = verdict {
            let message = format!(
                "{} holds {} and its mode {:04o} lets others read it",
                path.display(),
                setting.key,
                insecure.mode
            );
            return Err(Failure::new(Exit::Config, message)
                .with_hint(format!("chmod 600 {}, or --allow-insecure-permissions", path.display())));
        }
    }
    Ok(())
}

/// Options win over every other layer.
fn apply_options(loaded: &mut Loaded<CallConfig>, invocation: &Invocation, common: &Common) {
    let Loaded { config, origins } = loaded;
    let mut set = |given: bool, key: &'static str, option: &'static str| {
        if given {
            origins.insert(key, Origin::Flag(option));
        }
    };
    macro_rules! option {
        ($given:expr, $section:ident.$key:ident, $option:literal) => {
            if let Some(value) = $given {
                config.$section.$key = value.into();
                set(true, concat!(stringify!($section), ".", stringify!($key)), $option);
            }
        };
    }
    let flag = |given: bool| given.then_some(true);
    option!(invocation.log_file.clone(), log.file, "LOG_FILE");
    option!(invocation.overlap, call.overlap, "--overlap");
    option!(invocation.jitter, call.jitter, "--jitter");
    option!(flag(invocation.jitter_fixed), call.jitter_fixed, "--jitter-fixed");
    option!(invocation.timeout, call.timeout, "--timeout");
    option!(invocation.connect_timeout, call.connect_timeout, "--connect-timeout");
    option!(invocation.attempt_timeout, call.attempt_timeout, "--attempt-timeout");
    option!(invocation.retries, call.retries, "--retries");
    option!(flag(invocation.idempotent), call.idempotent, "--idempotent");
    option!(invocation.max_body.map(Bytes), call.max_body, "--max-body");
    option!(flag(invocation.allow_plaintext), call.allow_plaintext, "--allow-plaintext");
    option!(flag(invocation.no_proxy), call.no_proxy, "--no-proxy");
    option!(invocation.cacert.clone(), tls.cacert, "--cacert");
    option!(invocation.cert.clone(), tls.cert, "--cert");
    option!(invocation.key.clone(), tls.key, "--key");
    option!(common.state_dir.clone(), state.dir, "--state-dir");
    option!(
        flag(common.allow_insecure_permissions),
        token.allow_insecure_permissions,
        "--allow-insecure-permissions"
    );
    option!(invocation.ping_url.clone().map(|url| SecretText(Secret::new(url))), ping.url, "--ping-url");
    let codes = (!invocation.success_code.is_empty()).then(|| invocation.success_code.clone());
    option!(codes, call.success_codes, "--success-code");
    let format = invocation.log_format.as_ref().and_then(|word| word.parse::<LogFormat>().ok());
    option!(format, log.format, "--log-format");
}

/// Whether this process runs as root: its entry in /proc belongs to its user.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The host's name, as the kernel has it.
fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
