//! The settings of `qs-api-call`.

mod sections;
mod targets;
mod validate;
mod words;

pub use self::sections::{Api, Call, Iam, Log, Ping, State, Tls, Token};
pub use self::targets::CallTargets;
pub use self::words::{ClientAuth, LogFormat, LoginDialect};
use super::setting::{Setting, setting};

/// The commented default file: `config default` prints it, a test keeps it equal to [`CallConfig::default`].
pub const DEFAULT_YAML: &str = include_str!("../../../configs/qs-api-call.yaml");

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
    /// The target whose own files of `$CREDENTIALS_DIRECTORY` count (`NAME.iam-password`); none is the ones without a name.
    pub credentials_of: Option<String>,
}

/// What a call reads of its environment beside its settings.
const OF_THE_WIRE: [&str; 9] = [
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "CREDENTIALS_DIRECTORY",
];

/// Whether a variable can change a call; one of ours that no program knows can too, since a call is then refused.
pub fn is_read(variable: &str) -> bool {
    variable.starts_with("QS_")
        || OF_THE_WIRE.contains(&variable)
        || SETTINGS.iter().any(|setting| setting.env.contains(&variable))
}

/// Every setting, in the order of the default file.
pub static SETTINGS: [Setting<CallConfig>; 57] = [
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
    setting!(call.expect),
    setting!(call.ignore_body),
    setting!(call.overlap),
    setting!(call.jitter),
    setting!(call.jitter_fixed),
    setting!(call.max_body),
    setting!(call.allow_plaintext),
    setting!(call.wait_path),
    setting!(call.wait_interval),
    setting!(call.no_proxy),
    setting!(call.no_auth),
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
