//! The settings of `qs-apiserver`.

use std::time::Duration;

use super::auth::{self, Auth, DevIam, RateLimit};
use super::load::Loaded;
use super::problem::{ConfigError, Problem};
use super::section::section;
use super::server::{Database, Log, Redis, Server, USE_DEFAULT, Wrong, at_least_a_second};
use super::setting::{Setting, setting};
use crate::domain::entry::EntryBase;

/// The commented default file: `config default` prints it, a test keeps it equal to [`ApiserverConfig::default`].
pub const DEFAULT_YAML: &str = include_str!("../../configs/qs-apiserver.yaml");

/// The pool makes room for all of its connections at once.
const MOST_CONNECTIONS: u32 = 1_000;

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

section! {
    /// Section `sync`.
    pub struct Sync {
        /// How long a sync holds its lease without a sign of life.
        pub lease: Duration = Duration::from_secs(15),
        /// How many syncs do their work at the same time.
        pub concurrent: u32 = 4,
        /// How long the records of syncs are kept.
        pub keep_records: Duration = Duration::from_hours(90 * 24),
        /// How long the id of a counted event is remembered.
        pub remember_events: Duration = Duration::from_hours(30 * 24),
    }
}

section! {
    /// Section `plan`.
    pub struct Plan {
        /// Where testees go to fill in an opened task.
        pub entry_base_url: Option<String>,
        /// How long an opened task can be filled in.
        pub entry_ttl: Duration = Duration::from_hours(7 * 24),
    }
}

/// Every setting, in the order of the default file.
pub static SETTINGS: [Setting<ApiserverConfig>; 48] = [
    setting!(server.addr),
    setting!(server.shutdown_grace),
    setting!(server.request_timeout),
    setting!(server.max_body),
    setting!(server.max_connections),
    setting!(server.header_timeout),
    setting!(server.body_timeout),
    setting!(server.write_timeout),
    setting!(server.idle_timeout),
    setting!(server.timezone),
    setting!(database.url, [], secret: true),
    setting!(database.url_file),
    setting!(database.timezone),
    setting!(database.connections),
    setting!(database.migrate),
    setting!(redis.url, [], secret: true),
    setting!(redis.url_file),
    setting!(sync.lease),
    setting!(sync.concurrent),
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
    setting!(rate_limit.intake_per_second),
    setting!(rate_limit.intake_burst),
    setting!(rate_limit.accounts),
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

/// Checks what `migrate` needs of a configuration: where the stores are.
///
/// # Errors
/// A setting of the stores that means nothing.
pub fn validate_stores(loaded: &Loaded<ApiserverConfig>) -> Result<(), ConfigError> {
    let mut problems: Vec<Problem> = Vec::new();
    check_stores(&loaded.config, &mut |key: &str, message: &str, hint: &str| {
        problems.push(loaded.problem(key, message, Some(hint.to_owned())));
    });
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

fn check_stores(ApiserverConfig { database, redis, .. }: &ApiserverConfig, wrong: Wrong<'_>) {
    for (key, twice, other) in [
        ("database.url_file", database.url.is_some() && database.url_file.is_some(), "database.url"),
        ("redis.url_file", redis.url.is_some() && redis.url_file.is_some(), "redis.url"),
    ] {
        if twice {
            wrong(key, &format!("{other} is set too"), "set one of the two");
        }
    }
    if database.connections < 2 {
        let message = "must be at least 2: a sync gives signs of life beside its work";
        wrong("database.connections", message, USE_DEFAULT);
    }
    if database.connections > MOST_CONNECTIONS {
        let message = format!("must be at most {MOST_CONNECTIONS}: no database serves more of one program");
        wrong("database.connections", &message, USE_DEFAULT);
    }
}

/// Checks what no single value can show: all problems at once.
///
/// # Errors
/// A server that could verify no token, a development IAM that others could reach, a setting that means nothing.
pub fn validate(loaded: &Loaded<ApiserverConfig>) -> Result<(), ConfigError> {
    let ApiserverConfig { server, sync, plan, auth, rate_limit, dev_iam, .. } = &loaded.config;
    let mut problems: Vec<Problem> = Vec::new();
    let mut wrong = |key: &str, message: &str, hint: &str| {
        problems.push(loaded.problem(key, message, Some(hint.to_owned())));
    };
    auth::check(loaded, auth, dev_iam, server.addr, &mut wrong);
    server.check(&mut wrong);
    rate_limit.check(&mut wrong);
    if dev_iam.password.is_some() && dev_iam.password_file.is_some() {
        wrong("dev_iam.password_file", "dev_iam.password is set too", "set one of the two");
    }
    check_stores(&loaded.config, &mut wrong);
    if let Some(Err(expected)) = plan.entry_base_url.as_deref().map(EntryBase::new) {
        wrong("plan.entry_base_url", &expected, "remove the key if no task is opened here");
    }
    if sync.concurrent == 0 {
        wrong("sync.concurrent", "must be at least 1: no sync would ever end", USE_DEFAULT);
    }
    for (key, value) in [
        ("dev_iam.username", &dev_iam.username),
        ("auth.issuer", &auth.issuer),
        ("auth.audience", &auth.audience),
    ] {
        if value.is_empty() {
            wrong(key, "must not be empty", USE_DEFAULT);
        }
    }
    let durations = [
        ("dev_iam.ttl", dev_iam.ttl),
        ("plan.entry_ttl", plan.entry_ttl),
        ("sync.lease", sync.lease),
        ("sync.keep_records", sync.keep_records),
        ("sync.remember_events", sync.remember_events),
    ];
    at_least_a_second(&durations, &mut wrong);
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, assert_shipped, load};

    #[test]
    fn the_shipped_file_holds_every_key_and_only_defaults() {
        assert_shipped(DEFAULT_YAML, &SETTINGS);
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
}
