//! The sections `auth`, `dev_iam` and `rate_limit` of a server: whose tokens count, and how often a caller may ask.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::field::{Field, SecretText, UrlText, Value};
use super::load::Loaded;
use super::problem::Origin;
use super::section::section;
use super::server::{USE_DEFAULT, Wrong, at_least_a_second};
use crate::domain::host::is_loopback;
use crate::domain::word::words;

section! {
    /// Section `auth`.
    pub struct Auth {
        /// The claim `iss`.
        pub issuer: String = "qs-dev-iam".to_owned(),
        /// Must be in the claim `aud`.
        pub audience: String = "qs".to_owned(),
        /// How far the clocks may differ.
        pub leeway: Duration = Duration::from_secs(30),
        /// Signatures that are accepted.
        pub algorithms: Vec<SignatureAlgorithm> = vec![SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256],
        /// Key set of the IAM; unset means the development IAM.
        pub jwks_url: Option<UrlText>,
        /// Older keys are fetched again.
        pub jwks_refresh: Duration = Duration::from_mins(5),
        /// An unknown key id causes one fetch in this time.
        pub jwks_cooldown: Duration = Duration::from_secs(30),
        /// Deadline of a fetch.
        pub jwks_timeout: Duration = Duration::from_secs(5),
        /// How old keys may become while the IAM is down.
        pub jwks_max_stale: Duration = Duration::from_hours(24),
        /// CAs that are trusted for `jwks_url` instead of the machine's.
        pub ca_file: Option<PathBuf>,
    }
}

section! {
    /// Section `rate_limit`.
    pub struct RateLimit {
        /// Requests a second of one caller; 0 is no limit.
        pub per_second: u32 = 100,
        /// Requests of one caller at once.
        pub burst: u32 = 200,
        /// Requests a second that bring events, of one caller; 0 is no limit.
        pub intake_per_second: u32,
        /// Such requests at once.
        pub intake_burst: u32 = 200,
        /// Accounts with a limit of their own.
        pub accounts: Vec<AccountLimit>,
    }
}

/// The limit of one account, in place of the common ones: `SUBJECT=PER_SECOND/BURST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLimit {
    /// The claim `sub` of its tokens.
    pub subject: String,
    /// Requests a second; 0 is no limit.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Field for AccountLimit {
    fn read(value: &Value) -> Result<Self, String> {
        let expected = || "expected SUBJECT=PER_SECOND/BURST such as events-worker=2000/4000".to_owned();
        // A subject may hold anything, the numbers do not.
        let (subject, limit) = value.text()?.rsplit_once('=').ok_or_else(expected)?;
        let (per_second, burst) = limit.split_once('/').ok_or_else(expected)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| expected());
        let read = Self {
            subject: subject.trim().to_owned(),
            per_second: number(per_second)?,
            burst: number(burst)?,
        };
        if read.subject.is_empty() { Err(expected()) } else { Ok(read) }
    }

    fn show(&self) -> String {
        format!("{}={}/{}", self.subject, self.per_second, self.burst)
    }
}

section! {
    /// Section `dev_iam`.
    pub struct DevIam {
        /// Whether it runs.
        pub enabled: bool,
        /// Account name.
        pub username: String = "dev".to_owned(),
        /// Password; unset, and no file, means a generated one.
        pub password: Option<SecretText>,
        /// File that holds the password.
        pub password_file: Option<PathBuf>,
        /// Life of a token.
        pub ttl: Duration = Duration::from_mins(15),
        /// Wrong passwords in a row until the account is locked; 0 is never.
        pub lockout_threshold: u32 = 3,
        /// How long it stays locked.
        pub lockout_duration: Duration = Duration::from_mins(15),
    }
}

words! {
    /// A signature that may be accepted. `none` and HMAC are no choice: with them whoever reads a public key signs.
    pub enum SignatureAlgorithm: "signature algorithm" {
        /// RSA.
        Rs256 = "RS256",
        /// P-256.
        Es256 = "ES256",
    }
}

impl Field for SignatureAlgorithm {
    fn read(value: &Value) -> Result<Self, String> {
        value.text()?.parse().map_err(|_| "expected RS256, ES256 or both".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl RateLimit {
    pub(super) fn check(&self, wrong: Wrong<'_>) {
        for (key, switch, per_second, burst) in [
            ("rate_limit.burst", "rate_limit.per_second", self.per_second, self.burst),
            (
                "rate_limit.intake_burst",
                "rate_limit.intake_per_second",
                self.intake_per_second,
                self.intake_burst,
            ),
        ] {
            if per_second > 0 && burst == 0 {
                wrong(key, "must be at least 1", &format!("{switch}: 0 switches the limit off"));
            }
        }
        let mut named = HashSet::new();
        for account in &self.accounts {
            let AccountLimit { subject, per_second, burst } = account;
            if *per_second > 0 && *burst == 0 {
                let message = format!("{}: the burst must be at least 1", account.show());
                wrong("rate_limit.accounts", &message, &format!("{subject}=0/0 switches the limit off"));
            }
            if !named.insert(subject) {
                let message = format!("{subject} is named twice");
                wrong("rate_limit.accounts", &message, "name each account once");
            }
        }
    }
}

/// Checks these sections and who issues the tokens of a server that listens on this address.
pub(super) fn check<C>(
    loaded: &Loaded<C>,
    auth: &Auth,
    dev_iam: &DevIam,
    addr: SocketAddr,
    wrong: Wrong<'_>,
) {
    match (&auth.jwks_url, dev_iam.enabled) {
        (None, false) => wrong(
            "auth.jwks_url",
            "no token could be verified, so every request would be refused",
            "set it to the key set of the IAM; for development, dev_iam.enabled (--dev-iam) on a loopback address",
        ),
        (Some(_), true) => wrong(
            "auth.jwks_url",
            "dev_iam.enabled (--dev-iam) is on too, so two IAMs would issue tokens",
            "set one of the two",
        ),
        (None, true) => check_development(auth, addr, wrong),
        (Some(url), false) => {
            let audience_is_set = loaded.origin("auth.audience") != Origin::Default;
            check_remote(auth, url, audience_is_set, wrong);
        }
    }
    if auth.algorithms.is_empty() {
        wrong("auth.algorithms", "must not be empty", USE_DEFAULT);
    }
}

fn check_development(auth: &Auth, addr: SocketAddr, wrong: Wrong<'_>) {
    if !addr.ip().is_loopback() {
        wrong(
            "server.addr",
            "the development IAM must not be reachable from other machines",
            "listen on 127.0.0.1 or [::1], or use a real IAM with auth.jwks_url instead of dev_iam.enabled",
        );
    }
    if !auth.algorithms.is_empty() && !auth.algorithms.contains(&SignatureAlgorithm::Es256) {
        wrong("auth.algorithms", "the development IAM signs with ES256", "add ES256");
    }
    if auth.ca_file.is_some() {
        wrong("auth.ca_file", "has no meaning without auth.jwks_url", "remove it");
    }
}

fn check_remote(auth: &Auth, url: &UrlText, audience_is_set: bool, wrong: Wrong<'_>) {
    if let Err(message) = check_url(&url.0) {
        wrong("auth.jwks_url", message, "for example https://iam.example.com/.well-known/jwks.json");
    }
    // The default is the name of the development IAM: whoever signs for a real one must not be taken for it.
    if auth.issuer == Auth::default().issuer {
        wrong("auth.issuer", "is required with auth.jwks_url", "the claim iss of the IAM's tokens");
    }
    if !audience_is_set {
        let hint = "the claim aud of the IAM's tokens, such as qs";
        wrong("auth.audience", "is required with auth.jwks_url", hint);
    }
    let durations = [
        ("auth.jwks_refresh", auth.jwks_refresh),
        ("auth.jwks_cooldown", auth.jwks_cooldown),
        ("auth.jwks_timeout", auth.jwks_timeout),
    ];
    at_least_a_second(&durations, wrong);
    if auth.jwks_max_stale < auth.jwks_refresh {
        let message = "is shorter than auth.jwks_refresh";
        wrong("auth.jwks_max_stale", message, "keys would end before they are renewed");
    }
}

/// Keys decide who is let in, so nobody on the way may change them.
fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "expected a URL that begins with https://")?;
    let loopback = url.host_str().is_some_and(is_loopback);
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err("expected https://; plain http:// is accepted for a loopback address alone"),
        _ => return Err("expected a URL that begins with https://"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name and no password");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::apiserver::{SETTINGS, validate};
    use crate::config::{Env, load};

    const REMOTE: [(&str, &str); 3] = [
        ("QS_AUTH__JWKS_URL", "https://iam.example.com/jwks"),
        ("QS_AUTH__ISSUER", "https://iam.example.com"),
        ("QS_AUTH__AUDIENCE", "qs"),
    ];

    /// What is wrong with these variables, one line a problem. A later one wins.
    fn problems<const N: usize>(pairs: [(&str, &str); N]) -> Vec<String> {
        let wrong = match load(&SETTINGS, &[], &Env::from(pairs)) {
            Ok(loaded) => validate(&loaded).err(),
            Err(error) => Some(error),
        };
        wrong.map(|error| error.problems.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    fn remote_with(pair: (&str, &str)) -> Vec<String> {
        problems([REMOTE[0], REMOTE[1], REMOTE[2], pair])
    }

    #[test]
    fn a_real_iam_may_be_served_anywhere_and_over_tls() {
        assert_eq!(remote_with(("QS_SERVER__ADDR", "0.0.0.0:8080")), [""; 0]);
        for url in ["http://127.0.0.1:1/jwks", "http://[::1]/jwks", "http://localhost/x?y=z"] {
            assert_eq!(remote_with(("QS_AUTH__JWKS_URL", url)), [""; 0], "{url}");
        }
    }

    #[test]
    fn accounts_have_limits_of_their_own_and_intake_another() {
        let env = Env::from([
            ("QS_RATE_LIMIT__ACCOUNTS", "events-worker=2000/4000, a=b=0/0"),
            ("QS_RATE_LIMIT__INTAKE_PER_SECOND", "5"),
        ]);
        let limits = load(&SETTINGS, &[], &env).unwrap().config.rate_limit;
        let account = |subject: &str, per_second, burst| super::AccountLimit {
            subject: subject.to_owned(),
            per_second,
            burst,
        };
        assert_eq!(limits.accounts, [account("events-worker", 2_000, 4_000), account("a=b", 0, 0)]);
        let found = remote_with(("QS_RATE_LIMIT__INTAKE_BURST", "0"));
        assert_eq!(found, [""; 0], "without a limit it means nothing");
        let [issuer, audience] = [REMOTE[1], REMOTE[2]];
        let found = problems([
            REMOTE[0],
            issuer,
            audience,
            ("QS_RATE_LIMIT__INTAKE_BURST", "0"),
            ("QS_RATE_LIMIT__INTAKE_PER_SECOND", "5"),
        ]);
        assert!(
            found.len() == 1 && found[0].contains("rate_limit.intake_burst: must be at least 1"),
            "{found:?}"
        );
    }

    #[test]
    fn exactly_one_iam_must_be_on_and_both_keys_are_named() {
        for found in [problems([]), remote_with(("QS_DEV_IAM__ENABLED", "true"))] {
            let [problem] = found.as_slice() else { panic!("{found:?}") };
            assert!(problem.contains("auth.jwks_url") && problem.contains("dev_iam.enabled"), "{problem}");
        }
    }

    #[test]
    fn what_would_be_unsafe_or_mean_nothing_is_refused_by_name() {
        for (pair, reason) in [
            (("QS_AUTH__JWKS_URL", "http://iam.example.com/jwks"), "auth.jwks_url: expected https://"),
            (("QS_AUTH__JWKS_URL", "http://127.0.0.1.example.com/"), "auth.jwks_url: expected https://"),
            (("QS_AUTH__JWKS_URL", "ftp://iam/jwks"), "auth.jwks_url: expected a URL"),
            (("QS_AUTH__JWKS_URL", "iam.example.com"), "auth.jwks_url: expected a URL"),
            (("QS_AUTH__JWKS_URL", "https://u:hunter2@iam/"), "auth.jwks_url: must hold no user name"),
            (("QS_AUTH__ISSUER", "qs-dev-iam"), "auth.issuer: is required with auth.jwks_url"),
            (("QS_AUTH__ALGORITHMS", "none"), "auth.algorithms = \"none\": expected RS256, ES256 or both"),
            (("QS_AUTH__ALGORITHMS", "RS256,HS256"), "auth.algorithms = \"RS256,HS256\": expected RS256"),
            (("QS_AUTH__ALGORITHMS", ","), "auth.algorithms: must not be empty"),
            (("QS_AUTH__JWKS_COOLDOWN", "10ms"), "auth.jwks_cooldown: must be at least 1s"),
            (("QS_AUTH__JWKS_MAX_STALE", "1m"), "auth.jwks_max_stale: is shorter than auth.jwks_refresh"),
            (("QS_RATE_LIMIT__BURST", "0"), "rate_limit.burst: must be at least 1"),
            (("QS_RATE_LIMIT__ACCOUNTS", "a=1/2,a=0/0"), "rate_limit.accounts: a is named twice"),
            (
                ("QS_RATE_LIMIT__ACCOUNTS", "a=1/0"),
                "rate_limit.accounts: a=1/0: the burst must be at least 1",
            ),
            (("QS_RATE_LIMIT__ACCOUNTS", "a=5"), "expected SUBJECT=PER_SECOND/BURST"),
            (("QS_RATE_LIMIT__ACCOUNTS", "=5/5"), "expected SUBJECT=PER_SECOND/BURST"),
            (("QS_RATE_LIMIT__ACCOUNTS", "a=-1/5"), "expected SUBJECT=PER_SECOND/BURST"),
        ] {
            let found = remote_with(pair);
            assert!(found.iter().any(|problem| problem.contains(reason)), "{pair:?}: {found:?}");
            assert!(!found.concat().contains("hunter2"), "{found:?}");
        }
        let found = problems([REMOTE[0], REMOTE[1]]);
        assert!(found[0].starts_with("auth.audience: is required with auth.jwks_url"), "{found:?}");
        let development = ("QS_DEV_IAM__ENABLED", "true");
        for (pair, reason) in [
            (("QS_AUTH__ALGORITHMS", "RS256"), "the development IAM signs with ES256"),
            (("QS_AUTH__CA_FILE", "/ca.pem"), "auth.ca_file: has no meaning without auth.jwks_url"),
        ] {
            let found = problems([development, pair]);
            assert!(found.len() == 1 && found[0].contains(reason), "{found:?}");
        }
    }
}
