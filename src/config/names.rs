//! The names of every program's settings: programs share one environment, and what none of them knows is a slip.

use super::call;

/// Keys of `qs-apiserver`, which `qs-api-call` knows without being built with them. One text, so that a call that has no
/// use for them has none for their table either.
const SERVER: &str = "\
    server.addr server.shutdown_grace server.request_timeout server.max_body \
    server.max_connections server.header_timeout server.body_timeout server.write_timeout server.idle_timeout \
    server.timezone \
    database.url database.url_file database.timezone database.connections database.migrate \
    redis.url redis.url_file \
    sync.lease sync.concurrent sync.keep_records sync.remember_events \
    plan.entry_base_url plan.entry_ttl \
    auth.issuer auth.audience auth.leeway auth.algorithms auth.jwks_url auth.jwks_refresh auth.jwks_cooldown \
    auth.jwks_timeout auth.jwks_max_stale auth.ca_file \
    rate_limit.per_second rate_limit.burst rate_limit.intake_per_second rate_limit.intake_burst rate_limit.accounts \
    dev_iam.enabled dev_iam.username dev_iam.password dev_iam.password_file dev_iam.ttl dev_iam.lockout_threshold \
    dev_iam.lockout_duration \
    log.level log.format log.dir";

/// Beginnings of variables that are no settings: of tests, the demonstration, benchmarks and deployment scripts, and
/// of named targets, whose names are not known here.
const NO_SETTINGS: [&str; 6] =
    ["QS_TEST_", "QS_DEMO_", "QS_BENCH_", "QS_DEPLOY_", "QS_BLESS", "QS_TARGETS__"];

/// Variables of `deploy/compose.yaml` and `deploy/ship`, which may be exported in the shell that calls a program.
const OF_SCRIPTS: [&str; 7] =
    ["QS_JWKS_URL", "QS_ISSUER", "QS_AUDIENCE", "QS_TIMEZONE", "QS_ENTRY_BASE_URL", "QS_DRY_RUN", "QS_FORCE"];

/// Every key of every program.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    call::SETTINGS.iter().map(|setting| setting.key).chain(SERVER.split(' '))
}

/// Whether a variable that begins with `QS_` is no setting at all.
pub(super) fn is_no_setting(name: &str, value: &str) -> bool {
    OF_SCRIPTS.contains(&name)
        || NO_SETTINGS.iter().any(|prefix| name.starts_with(prefix))
        || is_service_link(name, value)
}

/// What Kubernetes puts into every pod beside a Service named `qs-…`: `QS_APISERVER_SERVICE_HOST`,
/// `QS_APISERVER_SERVICE_PORT_HTTP`, `QS_APISERVER_PORT`, `QS_APISERVER_PORT_8080_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    let number = |text: &str| text.parse::<u16>().is_ok();
    if name.contains("__") {
        return false;
    }
    if name.ends_with("_SERVICE_HOST") || (name.contains("_SERVICE_PORT") && number(value)) {
        return true;
    }
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if address && (name.ends_with("_PORT") || ends(&["_TCP", "_UDP", "_SCTP"])) {
        return true;
    }
    let of_port = name.rsplit_once("_PORT_").map(|(_, rest)| rest.split('_').collect::<Vec<_>>());
    matches!(of_port.as_deref(), Some([port, "TCP" | "UDP" | "SCTP", "PROTO" | "ADDR"]) if number(port))
        || (ends(&["_TCP_PORT", "_UDP_PORT", "_SCTP_PORT"]) && number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "server")]
    #[test]
    fn the_keys_of_the_server_are_all_there() {
        let keys: Vec<_> = crate::config::apiserver::SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(SERVER.split(' ').collect::<Vec<_>>(), keys);
    }

    #[test]
    fn service_links_of_kubernetes_are_no_settings() {
        for (name, value) in [
            ("QS_APISERVER_SERVICE_HOST", "10.0.0.7"),
            ("QS_APISERVER_SERVICE_PORT", "8080"),
            ("QS_APISERVER_SERVICE_PORT_HTTP_ALT", "8080"),
            ("QS_APISERVER_PORT", "tcp://10.0.0.7:8080"),
            ("QS_APISERVER_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
            ("QS_APISERVER_PORT_8080_TCP_PROTO", "tcp"),
            ("QS_APISERVER_PORT_8080_TCP_PORT", "8080"),
            ("QS_APISERVER_PORT_53_UDP_ADDR", "10.0.0.7"),
            ("QS_TEST_MYSQL_URL", "x"),
            ("QS_TARGETS__A__API__BASE_URL", "x"),
        ] {
            assert!(is_no_setting(name, value), "{name}");
        }
        for (name, value) in [
            ("QS_CALL_TIMEOUT", "5"),
            ("QS_SERVER_PORT", "8080"),
            ("QS_CALL_PORT_X", "1"),
            ("QS_IAM__SERVICE_HOST", "x"),
            ("QS_TESTS", "1"),
            ("QS_API_PORT", "tcp"),
        ] {
            assert!(!is_no_setting(name, value), "{name}");
        }
    }
}
