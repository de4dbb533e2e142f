//! The settings of `qs-apiserver`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::auth::{self, Auth, RateLimit};
use crate::domain::entry::EntryBase;

use super::field::{Bytes, Field, SecretText, Value};
use super::setting::{ConfigError, Loaded, Problem, Setting, setting};

/// The commented default file: `config default` prints it, a test keeps it equal to [`ApiserverConfig::default`].
pub const DEFAULT_YAML: &str = include_str!("../../configs/qs-apiserver.yaml");

/// Everything that `qs-apiserver` can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiserverConfig {
    /// The listener.
    pub server: Server,
    /// Where everything is kept.
    pub database: Database,
    /// Where the counters are kept.
    pub redis: Redis,
    /// How syncs run.
    pub sync: Sync,
    /// Plan tasks.
    pub plan: Plan,
    /// What a token must say.
    pub auth: Auth,
    /// How often a caller may ask.
    pub rate_limit: RateLimit,
    /// The IAM inside this server.
    pub dev_iam: DevIam,
    /// The log.
    pub log: Log,
}

/// Section `server`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Address and port to listen on.
    pub addr: SocketAddr,
    /// How long running requests and syncs may go on after a signal.
    pub shutdown_grace: Duration,
    /// Deadline of a request.
    pub request_timeout: Duration,
    /// Largest request body.
    pub max_body: Bytes,
    /// Zone whose days are counted; unset means the zone of the machine.
    pub timezone: Option<Zone>,
}

/// Section `database`.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// `sqlite:…` or `mysql:…`; it may carry a password, so it is never shown. Unset means a file in the state directory.
    pub url: Option<SecretText>,
    /// File that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Zone whose wall clock the `DATETIME` columns show; unset means `server.timezone` on MySQL, UTC on SQLite.
    pub timezone: Option<Zone>,
    /// Connections at most.
    pub connections: u32,
    /// Whether `serve` takes schema changes that are missing.
    pub migrate: bool,
}

/// Section `redis`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redis {
    /// `redis://…` or `rediss://…`; it may carry a password, so it is never shown. Unset means embedded counters.
    pub url: Option<SecretText>,
    /// File that holds the URL.
    pub url_file: Option<PathBuf>,
}

/// Section `sync`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    /// How long a sync holds its lease without a sign of life.
    pub lease: Duration,
    /// How long the records of syncs are kept.
    pub keep_records: Duration,
    /// How long the id of a counted event is remembered.
    pub remember_events: Duration,
}

/// Section `plan`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where testees go to fill in an opened task.
    pub entry_base_url: Option<String>,
    /// How long an opened task can be filled in.
    pub entry_ttl: Duration,
}

/// Section `dev_iam`.
#[derive(Clone, Debug, PartialEq)]
pub struct DevIam {
    /// Whether it runs.
    pub enabled: bool,
    /// Account name.
    pub username: String,
    /// Password; unset, and no file, means a generated one.
    pub password: Option<SecretText>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Life of a token.
    pub ttl: Duration,
    /// Wrong passwords in a row until the account is locked; 0 is never.
    pub lockout_threshold: u32,
    /// How long it stays locked.
    pub lockout_duration: Duration,
}

/// Section `log`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// What is written.
    pub level: LogLevel,
    /// Shape of a line.
    pub format: LogShape,
    /// Directory of the daily files; unset means stderr alone.
    pub dir: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            shutdown_grace: Duration::from_secs(30),
            request_timeout: Duration::from_mins(5),
            max_body: Bytes(1 << 20),
            timezone: None,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, url_file: None, timezone: None, connections: 8, migrate: true }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            keep_records: Duration::from_hours(90 * 24),
            remember_events: Duration::from_hours(30 * 24),
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self { entry_base_url: None, entry_ttl: Duration::from_hours(7 * 24) }
    }
}

impl Default for DevIam {
    fn default() -> Self {
        Self {
            enabled: false,
            username: "dev".to_owned(),
            password: None,
            password_file: None,
            ttl: Duration::from_mins(15),
            lockout_threshold: 3,
            lockout_duration: Duration::from_mins(15),
        }
    }
}

/// An IANA time zone that exists on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(pub TimeZone);

impl Field for Zone {
    fn read(value: &Value) -> Result<Self, String> {
        TimeZone::get(value.text()?)
            .map(Zone)
            .map_err(|_| "expected an IANA time zone such as Asia/Shanghai or UTC".to_owned())
    }

    fn show(&self) -> String {
        self.0.iana_name().unwrap_or_default().to_owned()
    }
}

impl Field for SocketAddr {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .text()?
            .parse()
            .map_err(|_| "expected an IP address with a port such as 127.0.0.1:8080 or [::1]:0".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// What is written to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Something was refused or lost.
    Warn,
    /// What was done.
    #[default]
    Info,
    /// How it was done.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const WORDS: [(&str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
}

/// Shape of a log line of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogShape {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogShape {
    const WORDS: [(&str, LogShape); 2] = [("text", LogShape::Text), ("json", LogShape::Json)];
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        word(&Self::WORDS, text)
    }
}

impl Field for LogLevel {
    fn read(value: &Value) -> Result<Self, String> {
        value.text()?.parse()
    }

    fn show(&self) -> String {
        spell(&Self::WORDS, *self)
    }
}

impl Field for LogShape {
    fn read(value: &Value) -> Result<Self, String> {
        word(&Self::WORDS, value.text()?)
    }

    fn show(&self) -> String {
        spell(&Self::WORDS, *self)
    }
}

fn word<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        format!("expected {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "))
    })
}

fn spell<T: Copy + PartialEq>(words: &[(&str, T)], value: T) -> String {
    words.iter().find(|(_, known)| *known == value).map(|(word, _)| (*word).to_owned()).unwrap_or_default()
}

/// Every setting, in the order of the default file.
pub static SETTINGS: [Setting<ApiserverConfig>; 39] = [
    setting!(server.addr),
    setting!(server.shutdown_grace),
    setting!(server.request_timeout),
    setting!(server.max_body),
    setting!(server.timezone),
    setting!(database.url, [], secret: true),
    setting!(database.url_file),
    setting!(database.timezone),
    setting!(database.connections),
    setting!(database.migrate),
    setting!(redis.url, [], secret: true),
    setting!(redis.url_file),
    setting!(sync.lease),
    setting!(sync.keep_records),
    setting!(sync.remember_events),
    setting!(plan.entry_base_url),
    setting!(plan.entry_ttl),
    setting!(auth.issuer),
    setting!(auth.audience),
    setting!(auth.leeway),
    setting!(auth.algorithms),
    setting!(auth.jwks_url),
    setting!(auth.jwks_refresh),
    setting!(auth.jwks_cooldown),
    setting!(auth.jwks_timeout),
    setting!(auth.jwks_max_stale),
    setting!(auth.ca_file),
    setting!(rate_limit.per_second),
    setting!(rate_limit.burst),
    setting!(dev_iam.enabled),
    setting!(dev_iam.username),
    setting!(dev_iam.password, [], secret: true),
    setting!(dev_iam.password_file),
    setting!(dev_iam.ttl),
    setting!(dev_iam.lockout_threshold),
    setting!(dev_iam.lockout_duration),
    setting!(log.level),
    setting!(log.format),
    setting!(log.dir),
];

/// Checks what no single value can show: all problems at once.
///
/// # Errors
/// A server that could verify no token, a development IAM that others could reach, a setting that means nothing.
pub fn validate(loaded: &Loaded<ApiserverConfig>) -> Result<(), ConfigError> {
    let config = &loaded.config;
    let mut problems: Vec<Problem> = Vec::new();
    let mut wrong = |key: &str, message: &str, hint: &str| {
        problems.push(loaded.problem(key, message, Some(hint.to_owned())));
    };
    auth::check(loaded, &mut wrong);
    for (key, twice, other) in [
        (
            "dev_iam.password_file",
            config.dev_iam.password.is_some() && config.dev_iam.password_file.is_some(),
            "dev_iam.password",
        ),
        (
            "database.url_file",
            config.database.url.is_some() && config.database.url_file.is_some(),
            "database.url",
        ),
        ("redis.url_file", config.redis.url.is_some() && config.redis.url_file.is_some(), "redis.url"),
    ] {
        if twice {
            wrong(key, &format!("{other} is set too"), "set one of the two");
        }
    }
    if let Some(Err(expected)) = config.plan.entry_base_url.as_deref().map(EntryBase::new) {
        wrong("plan.entry_base_url", &expected, "remove the key if no task is opened here");
    }
    if config.database.connections < 2 {
        wrong(
            "database.connections",
            "must be at least 2: a sync gives signs of life beside its work",
            "remove the key to use the default",
        );
    }
    for (key, value) in [
        ("dev_iam.username", &config.dev_iam.username),
        ("auth.issuer", &config.auth.issuer),
        ("auth.audience", &config.auth.audience),
    ] {
        if value.is_empty() {
            wrong(key, "must not be empty", "remove the key to use the default");
        }
    }
    for (key, value) in [
        ("dev_iam.ttl", config.dev_iam.ttl),
        ("server.request_timeout", config.server.request_timeout),
        ("plan.entry_ttl", config.plan.entry_ttl),
        ("sync.lease", config.sync.lease),
        ("sync.keep_records", config.sync.keep_records),
        ("sync.remember_events", config.sync.remember_events),
    ] {
        if value < Duration::from_secs(1) {
            wrong(key, "must be at least 1s", "remove the key to use the default");
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFile, Env, load};

    #[test]
    fn the_shipped_file_holds_every_key_and_only_defaults() {
        let file = ConfigFile { path: "configs/qs-apiserver.yaml".into(), text: DEFAULT_YAML.to_owned() };
        let loaded = load(&SETTINGS, &[file], &Env::default()).unwrap();
        assert_eq!(loaded.config, ApiserverConfig::default());
        // An unset key stands in the file without a value, so the text itself must be searched.
        let mut section = "";
        let mut keys = Vec::new();
        for line in DEFAULT_YAML.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if let Some((name, _)) = line.split_once(':') {
                match name.strip_prefix("  ") {
                    Some(key) => keys.push(format!("{section}.{key}")),
                    None => section = name,
                }
            }
        }
        assert_eq!(keys, SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>());
    }

    #[test]
    fn every_setting_shows_what_it_reads_and_secrets_stay_hidden() {
        let env = Env::from([
            ("QS_SERVER__ADDR", "[::1]:0"),
            ("QS_SERVER__TIMEZONE", "UTC"),
            ("QS_DATABASE__URL", "sqlite:/tmp/hunter2.db"),
            ("QS_DEV_IAM__PASSWORD", "hunter2"),
            ("QS_DEV_IAM__TTL", "1s"),
            ("QS_LOG__FORMAT", "json"),
        ]);
        let loaded = load(&SETTINGS, &[], &env).unwrap();
        let shown: Vec<String> = SETTINGS.iter().map(|setting| (setting.show)(&loaded.config)).collect();
        assert!(!shown.join(" ").contains("hunter2"));
        for expected in ["[::1]:0", "UTC", "1s", "json", "info"] {
            assert!(shown.iter().any(|text| text == expected), "{expected} in {shown:?}");
        }
    }

    #[test]
    fn unsafe_settings_are_refused() {
        let problems = |pairs: [(&str, &str); 2]| {
            let loaded = load(&SETTINGS, &[], &Env::from(pairs)).unwrap();
            validate(&loaded).map_err(|error| error.to_string())
        };
        let on = ("QS_DEV_IAM__ENABLED", "true");
        assert_eq!(problems([on, ("QS_SERVER__ADDR", "127.0.0.1:0")]), Ok(()));
        let off = problems([("QS_DEV_IAM__ENABLED", "false"), ("QS_SERVER__ADDR", "127.0.0.1:0")]);
        assert!(off.unwrap_err().contains("no token could be verified"));
        let open = problems([on, ("QS_SERVER__ADDR", "0.0.0.0:0")]).unwrap_err();
        assert!(open.starts_with("environment QS_SERVER__ADDR: server.addr: the development IAM"), "{open}");
        let empty = problems([on, ("QS_DEV_IAM__TTL", "10ms")]).unwrap_err();
        assert!(empty.contains("dev_iam.ttl: must be at least 1s"), "{empty}");
    }

    #[test]
    fn a_word_that_is_not_known_names_the_known_ones() {
        assert_eq!("loud".parse::<LogLevel>(), Err("expected error, warn, info, debug, trace".to_owned()));
    }
}
