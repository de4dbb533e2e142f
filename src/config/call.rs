//! The settings of `qs-api-call`.

use std::path::PathBuf;
use std::time::Duration;

use super::field::{Bytes, Field, SecretText, UrlText, Value};
use super::setting::{Setting, setting};
use crate::domain::overlap::Overlap;

/// The commented default file: `config default` prints it, a test keeps it equal to [`CallConfig::default`].
pub const DEFAULT_YAML: &str = include_str!("../../configs/qs-api-call.yaml");

/// Everything that `qs-api-call` can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallConfig {
    /// The business server.
    pub api: Api,
    /// Where and as whom to log in.
    pub iam: Iam,
    /// The cached token.
    pub token: Token,
    /// How a call is made and judged.
    pub call: Call,
    /// Trust and identity on the wire.
    pub tls: Tls,
    /// The log.
    pub log: Log,
    /// Run records, overlap locks and metrics.
    pub state: State,
    /// The outside monitor.
    pub ping: Ping,
}

/// Section `api`.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Origin and optional path prefix of the business server.
    pub base_url: UrlText,
}

/// Section `iam`.
#[derive(Clone, Debug, PartialEq)]
pub struct Iam {
    /// Base that the dialect's login path is appended to.
    pub base_url: Option<UrlText>,
    /// The whole login URL; wins over `base_url`.
    pub login_url: Option<UrlText>,
    /// Shape of the login request.
    pub dialect: Dialect,
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
    pub client_auth: ClientAuth,
    /// OAuth 2 scope.
    pub scope: Option<String>,
    /// OAuth 2 audience.
    pub audience: Option<String>,
    /// Tenant sent with the credentials.
    pub tenant_id: Option<u64>,
    /// Device sent with the login; `$(hostname)` in it is replaced.
    pub device_id: String,
    /// Deadline of one login request.
    pub timeout: Duration,
}

/// Section `token`.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The token file; unset means the default place.
    pub file: Option<PathBuf>,
    /// How long before its end a token counts as expired; unset means a tenth of its life, 5 s to 60 s.
    pub skew: Option<Duration>,
    /// How long a token without known expiry is used.
    pub max_age: Duration,
    /// How long to wait for another process's login.
    pub lock_wait: Duration,
    /// Accept secret files that others may read.
    pub allow_insecure_permissions: bool,
}

/// Section `call`.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, not a state")]
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Total budget: login, waits and every attempt.
    pub timeout: Duration,
    /// Deadline of TCP and TLS set-up.
    pub connect_timeout: Duration,
    /// Deadline of one attempt.
    pub attempt_timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Upper bound of the first wait between attempts.
    pub retry_base: Duration,
    /// Upper bound of any wait between attempts.
    pub retry_cap: Duration,
    /// Repeating a request that may have arrived is harmless.
    pub idempotent: bool,
    /// Envelope codes that mean success.
    pub success_codes: Vec<i64>,
    /// What happens when the last run is not over.
    pub overlap: Overlap,
    /// Longest random delay before anything.
    pub jitter: Duration,
    /// The jitter is the same on every run of a task on a host.
    pub jitter_fixed: bool,
    /// Most bytes of a reply that are read.
    pub max_body: Bytes,
    /// Plain http to any host.
    pub allow_plaintext: bool,
    /// Path that `--wait` asks about a `run_id`.
    pub wait_path: String,
    /// Time between two questions of `--wait`.
    pub wait_interval: Duration,
    /// Proxy settings of the environment are ignored.
    pub no_proxy: bool,
}

/// Section `tls`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// CA bundle instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Client certificate chain.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// Section `log`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Log file; the second argument wins.
    pub file: Option<PathBuf>,
    /// Directory of the default log file; unset means `/var/log/qs-scheduler` for root, the state directory otherwise.
    pub dir: Option<PathBuf>,
    /// Shape of a line.
    pub format: LogFormat,
    /// Rotate at this size; 0 is never.
    pub rotate_size: Bytes,
    /// Rotate at this age; 0 is never.
    pub rotate_age: Duration,
    /// Rotated files kept.
    pub rotate_keep: u32,
    /// Compress rotated files.
    pub compress: bool,
    /// Most bytes of a reply in a line.
    pub body_limit: Bytes,
}

/// Section `state`.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Run records and overlap locks; unset means `/var/lib/qs-scheduler` for root, the user's state directory otherwise.
    pub dir: Option<PathBuf>,
    /// Runs kept per task.
    pub history: u32,
    /// Directory of the Prometheus textfiles; unset means `metrics` in the state directory.
    pub metrics_dir: Option<PathBuf>,
}

/// Section `ping`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// Check URL in the healthchecks protocol. Whoever knows it can ping, so it is treated as a secret.
    pub url: Option<SecretText>,
    /// Deadline of one ping.
    pub timeout: Duration,
}

impl Default for Api {
    fn default() -> Self {
        Self { base_url: UrlText("http://localhost:8080".to_owned()) }
    }
}

impl Default for Iam {
    fn default() -> Self {
        Self {
            base_url: None,
            login_url: None,
            dialect: Dialect::PasswordV1,
            username: None,
            username_file: None,
            password: None,
            password_file: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            client_auth: ClientAuth::Basic,
            scope: None,
            audience: None,
            tenant_id: None,
            device_id: "qs-scheduler-$(hostname)".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self {
            file: None,
            skew: None,
            max_age: Duration::from_mins(10),
            lock_wait: Duration::from_mins(1),
            allow_insecure_permissions: false,
        }
    }
}

impl Default for Call {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(330),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_mins(5),
            retries: 2,
            retry_base: Duration::from_millis(200),
            retry_cap: Duration::from_secs(30),
            idempotent: false,
            success_codes: vec![0, 200],
            overlap: Overlap::Skip,
            jitter: Duration::ZERO,
            jitter_fixed: false,
            max_body: Bytes(1 << 20),
            allow_plaintext: false,
            wait_path: "/api/v1/statistics/runs/{run_id}".to_owned(),
            wait_interval: Duration::from_secs(2),
            no_proxy: false,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            file: None,
            dir: None,
            format: LogFormat::Text,
            rotate_size: Bytes(10 << 20),
            rotate_age: Duration::ZERO,
            rotate_keep: 30,
            compress: true,
            body_limit: Bytes(4096),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { dir: None, history: 1000, metrics_dir: None }
    }
}

impl Default for Ping {
    fn default() -> Self {
        Self { url: None, timeout: Duration::from_secs(5) }
    }
}

/// Declares an enum whose words are the same in options, files and logs.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $default:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// Every word.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("expected {}", Self::WORDS.join(", "))),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self { $name::$default }
        }

        impl Field for $name {
            fn read(value: &Value) -> Result<Self, String> { value.text()?.parse() }
            fn show(&self) -> String { self.as_str().to_owned() }
        }
    };
}

words! {
    /// Shape of the login request and its default path.
    Dialect: PasswordV1 {
        /// `{method, credentials: {username, password}, device_id}` at `/authn/login`.
        PasswordV1 = "password-v1",
        /// `{username, password}` at the login URL.
        PasswordSimple = "password-simple",
        /// `{auth_method, method_payload: {username, password}, device_id}` at `/authn/login`.
        PasswordV2 = "password-v2",
        /// RFC 6749 §4.4 at `/oauth2/token`.
        OAuth2ClientCredentials = "oauth2-client-credentials",
    }
}

words! {
    /// How an OAuth 2 client proves itself (RFC 6749 §2.3.1).
    ClientAuth: Basic {
        /// In the `Authorization` header.
        Basic = "basic",
        /// In the form.
        Post = "post",
    }
}

words! {
    /// Shape of a log line.
    LogFormat: Text {
        /// `[2026-11-20 23:00:00] message key=value …`, as the scripts wrote.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// Every setting, in the order of the default file.
pub static SETTINGS: [Setting<CallConfig>; 54] = [
    setting!(api.base_url, ["API_BASE_URL"]),
    setting!(iam.base_url, ["IAM_BASE_URL"]),
    setting!(iam.login_url, ["IAM_LOGIN_URL"]),
    setting!(iam.dialect, ["IAM_DIALECT"]),
    setting!(iam.username, ["IAM_USERNAME"]),
    setting!(iam.username_file, ["IAM_USERNAME_FILE"]),
    setting!(iam.password, ["IAM_PASSWORD"], secret: true),
    setting!(iam.password_file, ["IAM_PASSWORD_FILE"]),
    setting!(iam.client_id, ["IAM_CLIENT_ID"]),
    setting!(iam.client_secret, ["IAM_CLIENT_SECRET"], secret: true),
    setting!(iam.client_secret_file, ["IAM_CLIENT_SECRET_FILE"]),
    setting!(iam.client_auth),
    setting!(iam.scope),
    setting!(iam.audience),
    setting!(iam.tenant_id, ["IAM_TENANT_ID"]),
    setting!(iam.device_id, ["DEVICE_ID"]),
    setting!(iam.timeout),
    setting!(token.file, ["TOKEN_FILE"]),
    setting!(token.skew),
    setting!(token.max_age),
    setting!(token.lock_wait),
    setting!(token.allow_insecure_permissions),
    setting!(call.timeout, ["TIMEOUT"]),
    setting!(call.connect_timeout),
    setting!(call.attempt_timeout),
    setting!(call.retries),
    setting!(call.retry_base),
    setting!(call.retry_cap),
    setting!(call.idempotent),
    setting!(call.success_codes),
    setting!(call.overlap),
    setting!(call.jitter),
    setting!(call.jitter_fixed),
    setting!(call.max_body),
    setting!(call.allow_plaintext),
    setting!(call.wait_path),
    setting!(call.wait_interval),
    setting!(call.no_proxy),
    setting!(tls.cacert),
    setting!(tls.cert),
    setting!(tls.key),
    setting!(log.file, ["LOG_FILE"]),
    setting!(log.dir),
    setting!(log.format),
    setting!(log.rotate_size),
    setting!(log.rotate_age),
    setting!(log.rotate_keep),
    setting!(log.compress),
    setting!(log.body_limit),
    setting!(state.dir),
    setting!(state.history),
    setting!(state.metrics_dir),
    setting!(ping.url, [], secret: true),
    setting!(ping.timeout),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, assert_shipped, load};

    #[test]
    fn the_shipped_file_holds_every_key_and_only_defaults() {
        assert_shipped(DEFAULT_YAML, &SETTINGS);
    }

    #[test]
    fn a_setting_shows_what_it_reads_and_hides_secrets() {
        let env = Env::from([("IAM_PASSWORD", "hunter2"), ("QS_PING__URL", "https://hc.example/abc")]);
        let loaded = load(&SETTINGS, &[], &env).unwrap();
        for setting in &SETTINGS {
            let shown = (setting.show)(&loaded.config);
            assert!(!shown.contains("hunter2") && !shown.contains("abc"), "{}", setting.key);
        }
        assert_eq!(loaded.config.iam.password.unwrap().0.expose(), "hunter2");
    }
}
