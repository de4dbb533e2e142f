//! The sections of the settings and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::words::{ClientAuth, LogFormat, LoginDialect};
use crate::config::field::{Bytes, SecretText, UrlText};
use crate::config::section::section;
use crate::domain::code::Code;
use crate::domain::expectation::Expectation;
use crate::domain::overlap::Overlap;

section! {
    /// Section `api`.
    pub struct Api {
        /// Origin and optional path prefix of the business server.
        pub base_url: UrlText = UrlText("http://localhost:8080".to_owned()),
    }
}

section! {
    /// Section `iam`.
    pub struct Iam {
        /// Base that the dialect's login path is appended to.
        pub base_url: Option<UrlText>,
        /// The whole login URL; wins over `base_url`.
        pub login_url: Option<UrlText>,
        /// Shape of the login request.
        pub dialect: LoginDialect = LoginDialect::PasswordV1,
        /// Account name.
        pub username: Option<String>,
        /// File that holds the account name.
        pub username_file: Option<PathBuf>,
        /// Password.
        pub password: Option<SecretText>,
        /// File that holds the password.
        pub password_file: Option<PathBuf>,
        /// Client of `oauth2-client-credentials`.
        pub client_id: Option<String>,
        /// Its secret.
        pub client_secret: Option<SecretText>,
        /// File that holds the client's secret.
        pub client_secret_file: Option<PathBuf>,
        /// How the client proves itself.
        pub client_auth: ClientAuth = ClientAuth::Basic,
        /// OAuth 2 scope.
        pub scope: Option<String>,
        /// OAuth 2 audience.
        pub audience: Option<String>,
        /// Tenant sent with the credentials.
        pub tenant_id: Option<u64>,
        /// Device sent with the login; `$(hostname)` in it is replaced.
        pub device_id: String = "qs-scheduler-$(hostname)".to_owned(),
        /// Deadline of one login request.
        pub timeout: Duration = Duration::from_secs(30),
    }
}

section! {
    /// Section `token`.
    pub struct Token {
        /// The token file; unset means the default place.
        pub file: Option<PathBuf>,
        /// How long before its end a token counts as expired; unset means a tenth of its life, 5 s to 60 s.
        pub skew: Option<Duration>,
        /// How long a token without known expiry is used.
        pub max_age: Duration = Duration::from_mins(10),
        /// How long to wait for another process's login.
        pub lock_wait: Duration = Duration::from_mins(1),
        /// Accept secret files that others may read.
        pub allow_insecure_permissions: bool,
    }
}

section! {
    /// Section `call`.
    pub struct Call {
        /// Total budget: login, waits and every attempt.
        pub timeout: Duration = Duration::from_secs(330),
        /// Deadline of TCP and TLS set-up.
        pub connect_timeout: Duration = Duration::from_secs(5),
        /// Deadline of one attempt.
        pub attempt_timeout: Duration = Duration::from_mins(5),
        /// Attempts after the first.
        pub retries: u32 = 2,
        /// Upper bound of the first wait between attempts.
        pub retry_base: Duration = Duration::from_millis(200),
        /// Upper bound of any wait between attempts.
        pub retry_cap: Duration = Duration::from_secs(30),
        /// Repeating a request that may have arrived is harmless.
        pub idempotent: bool,
        /// Envelope codes that mean success.
        pub success_codes: Vec<Code> =
            vec![Code::Number(0), Code::Number(200), Code::Word("OK".to_owned()), Code::Word("SUCCESS".to_owned())],
        /// What a reply must hold; not empty, it replaces the rules for envelopes.
        pub expect: Vec<Expectation>,
        /// Only the status of a reply counts.
        pub ignore_body: bool,
        /// What happens when the last run is not over.
        pub overlap: Overlap = Overlap::Skip,
        /// Longest random delay before anything.
        pub jitter: Duration = Duration::ZERO,
        /// The jitter is the same on every run of a task on a host.
        pub jitter_fixed: bool,
        /// Most bytes of a reply that are read.
        pub max_body: Bytes = Bytes(1 << 20),
        /// Plain http to any host.
        pub allow_plaintext: bool,
        /// Path that `--wait` asks about a `run_id`.
        pub wait_path: String = "/api/v1/statistics/runs/{run_id}".to_owned(),
        /// Time between two questions of `--wait`.
        pub wait_interval: Duration = Duration::from_secs(2),
        /// Proxy settings of the environment are ignored.
        pub no_proxy: bool,
        /// Calls carry no credential: no token is read, obtained or sent.
        pub no_auth: bool,
    }
}

section! {
    /// Section `tls`.
    pub struct Tls {
        /// CA bundle instead of the system's.
        pub cacert: Option<PathBuf>,
        /// Client certificate chain.
        pub cert: Option<PathBuf>,
        /// Its key.
        pub key: Option<PathBuf>,
    }
}

section! {
    /// Section `log`.
    pub struct Log {
        /// Log file; the second argument wins.
        pub file: Option<PathBuf>,
        /// Directory of the default log file; unset means `/var/log/qs-scheduler` for root, the state directory otherwise.
        pub dir: Option<PathBuf>,
        /// Shape of a line.
        pub format: LogFormat = LogFormat::Text,
        /// Rotate at this size; 0 is never.
        pub rotate_size: Bytes = Bytes(10 << 20),
        /// Rotate at this age; 0 is never.
        pub rotate_age: Duration = Duration::ZERO,
        /// Rotated files kept.
        pub rotate_keep: u32 = 30,
        /// Compress rotated files.
        pub compress: bool = true,
        /// Most bytes of a reply in a line.
        pub body_limit: Bytes = Bytes(4096),
    }
}

section! {
    /// Section `state`.
    pub struct State {
        /// Run records and overlap locks; unset means `/var/lib/qs-scheduler` for root, the user's state directory otherwise.
        pub dir: Option<PathBuf>,
        /// Runs kept per task.
        pub history: u32 = 1000,
        /// Directory of the Prometheus textfiles; unset means `metrics` in the state directory.
        pub metrics_dir: Option<PathBuf>,
    }
}

section! {
    /// Section `ping`.
    pub struct Ping {
        /// Check URL in the healthchecks protocol, with `{task}` for the name of the task. Whoever knows it can ping, so it is treated as a secret.
        pub url: Option<SecretText>,
        /// Deadline of one ping.
        pub timeout: Duration = Duration::from_secs(5),
    }
}
