//! A token file belongs to one account and one server: lines that share it for different ones log in again and again,
//! each taking the other's token away.

use std::path::PathBuf;

use url::Url;

use crate::crontab::call::Call;
use crate::crontab::file::{Crontab, CrontabEntry};
use crate::crontab::problem::{Problem, Rule, report};

/// What makes a token another one, with the settings that say it; the last one that is given counts.
const PARTS: [(&str, &[&str]); 9] = [
    ("API", &["API_BASE_URL", "QS_API__BASE_URL"]),
    ("IAM", &["IAM_BASE_URL", "QS_IAM__BASE_URL"]),
    ("login address", &["IAM_LOGIN_URL", "QS_IAM__LOGIN_URL"]),
    ("dialect", &["IAM_DIALECT", "QS_IAM__DIALECT"]),
    ("account", &["IAM_USERNAME", "QS_IAM__USERNAME", "IAM_USERNAME_FILE", "QS_IAM__USERNAME_FILE"]),
    ("client", &["IAM_CLIENT_ID", "QS_IAM__CLIENT_ID"]),
    ("tenant", &["IAM_TENANT_ID", "QS_IAM__TENANT_ID"]),
    ("scope", &["QS_IAM__SCOPE"]),
    ("audience", &["QS_IAM__AUDIENCE"]),
];

/// Where a line's token is.
#[derive(PartialEq, Eq)]
enum Place {
    /// A file that the crontab names.
    File(String),
    /// What the configuration says, which is the same for lines that agree in all of this.
    Configured {
        user: Option<String>,
        home: Option<String>,
        config: Option<PathBuf>,
        state: Option<PathBuf>,
        /// Every target has a file of its own.
        target: Option<String>,
    },
}

/// One line's use of a token.
struct Use {
    line: usize,
    place: Place,
    parts: Vec<(&'static str, Option<String>)>,
}

pub(super) fn check(crontab: &Crontab, problems: &mut Vec<Problem>) {
    let uses: Vec<Use> = crontab.entries().filter_map(|entry| Some(Use::of(entry, entry.call()?))).collect();
    for (index, used) in uses.iter().enumerate() {
        let found = uses[..index]
            .iter()
            .filter(|other| other.place == used.place)
            .find_map(|other| Some((other.line, used.difference(other)?)));
        if let Some((first, part)) = found {
            let found = format!("a token file that line {first} uses, too, for another {part}");
            report(problems, Rule::SharedToken, used.line, found)
                .expected("a token file for each account, tenant and server")
                .fix(format!("QS_TOKEN__FILE=/etc/qs-server/token-{} before the program", used.line));
        }
    }
}

impl Use {
    fn of(entry: &CrontabEntry, call: &Call) -> Self {
        let target = call.line.invocation.target.as_deref();
        let value = |names: &[&str]| {
            let names = names.iter().flat_map(|name| of_target(target, name)).rev();
            let mut values = names.filter_map(|name| setting(entry, call, &name));
            values.find(|value| !value.is_empty())
        };
        let common = &call.line.common;
        let file = value(&["TOKEN_FILE", "QS_TOKEN__FILE"]);
        let place = file.map_or_else(
            || Place::Configured {
                user: entry.user.clone(),
                home: value(&["HOME"]).map(str::to_owned),
                config: common.config.clone(),
                state: common.state_dir.clone().or_else(|| value(&["QS_STATE__DIR"]).map(PathBuf::from)),
                target: target.map(str::to_owned),
            },
            |path| Place::File(path.to_owned()),
        );
        let mut parts: Vec<_> = PARTS
            .iter()
            .map(|(part, names)| {
                (
                    *part,
                    value(names).map(|value| if *part == "API" { origin(value) } else { value.to_owned() }),
                )
            })
            .collect();
        let config = common.config.as_ref().map(|path| path.display().to_string());
        parts.extend([("configuration file", config), ("target", target.map(str::to_owned))]);
        Self { line: entry.line, place, parts }
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        let mut pairs = self.parts.iter().zip(&other.parts);
        pairs.find(|(own, other)| own.1 != other.1).map(|(own, _)| own.0)
    }
}

/// The variables that count for a target where `name` does for the unnamed server: its own, and those that it inherits,
/// which address and token file are not.
fn of_target(target: Option<&str>, name: &str) -> impl DoubleEndedIterator<Item = String> + use<> {
    let own = target.and_then(|target| {
        let target = target.replace('-', "_").to_ascii_uppercase();
        Some(format!("QS_TARGETS__{target}__{}", name.strip_prefix("QS_")?))
    });
    let is_own_alone = name.contains("API") || name.contains("TOKEN");
    let inherited = (target.is_none() || !is_own_alone).then(|| name.to_owned());
    [inherited, own].into_iter().flatten()
}

/// What the line says, before the program or above the entry.
fn setting<'a>(entry: &'a CrontabEntry, call: &'a Call, name: &str) -> Option<&'a str> {
    let before = call.assignments.iter().rev().find(|(own, _)| own == name);
    before.map(|(_, value)| value.as_str()).or_else(|| entry.setting(name))
}

/// A token is for an origin, whatever the path.
fn origin(address: &str) -> String {
    Url::parse(address).map_or_else(|_| address.to_owned(), |url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    use crate::crontab::file::Format;
    use crate::crontab::lint::{Facts, lint};

    fn shared(text: &str) -> Vec<(usize, String)> {
        let crontab = Crontab::parse(text.as_bytes(), Format::system(TimeZone::UTC));
        lint(&crontab, &Facts::default())
            .into_iter()
            .filter(|problem| problem.rule == Rule::SharedToken)
            .map(|problem| (problem.line, problem.found))
            .collect()
    }

    #[test]
    fn lines_that_share_a_token_file_agree_in_whose_it_is() {
        const A: &str = "0 * * * * root";
        let call = |before: &str, options: &str| {
            format!("{A} {before} /usr/local/bin/qs-api-call {options} /a /l\n")
        };
        for (first, second, differs) in [
            (call("", ""), call("", ""), None),
            (call("IAM_TENANT_ID=1", ""), call("IAM_TENANT_ID=2", ""), Some("tenant")),
            (call("QS_IAM__TENANT_ID=1", ""), call("QS_IAM__TENANT_ID=2", ""), Some("tenant")),
            (call("IAM_TENANT_ID=1", ""), call("QS_IAM__TENANT_ID=1", ""), None),
            (call("IAM_TENANT_ID=1", ""), call("", ""), Some("tenant")),
            (call("IAM_TENANT_ID=1", ""), call("IAM_TENANT_ID=2 TOKEN_FILE=/t2", ""), None),
            (
                call("IAM_TENANT_ID=1 TOKEN_FILE=/t", ""),
                call("IAM_TENANT_ID=2 QS_TOKEN__FILE=/t", ""),
                Some("tenant"),
            ),
            (call("IAM_USERNAME=a", ""), call("IAM_USERNAME=b", ""), Some("account")),
            (call("IAM_BASE_URL=https://a", ""), call("IAM_BASE_URL=https://b", ""), Some("IAM")),
            (call("API_BASE_URL=https://a/x", ""), call("API_BASE_URL=https://a:443/y", ""), None),
            (call("API_BASE_URL=https://a", ""), call("API_BASE_URL=https://b", ""), Some("API")),
            (call("QS_IAM__SCOPE=a", ""), call("QS_IAM__SCOPE=b", ""), Some("scope")),
            (call("", "--config /a"), call("", "--config /b"), None),
            (
                call("TOKEN_FILE=/t", "--config /a"),
                call("TOKEN_FILE=/t", "--config /b"),
                Some("configuration file"),
            ),
            (call("", "--target a"), call("", "--target b"), None),
            (call("", ""), call("", "--target b"), None),
            (call("IAM_TENANT_ID=1", ""), call("IAM_TENANT_ID=2", "--target b"), None),
            (call("IAM_TENANT_ID=1", "--target b"), call("IAM_TENANT_ID=2", "--target b"), Some("tenant")),
            // Neither is inherited by a target.
            (
                call("API_BASE_URL=https://a", "--target b"),
                call("API_BASE_URL=https://c", "--target b"),
                None,
            ),
            (call("IAM_TENANT_ID=1 TOKEN_FILE=/t", ""), call("TOKEN_FILE=/t", "--target b"), None),
            (
                call("QS_TARGETS__B_C__API__BASE_URL=https://a", "--target b-c"),
                call("QS_TARGETS__B_C__API__BASE_URL=https://b", "--target b-c"),
                Some("API"),
            ),
            (
                call("QS_TARGETS__A__TOKEN__FILE=/t", "--target a"),
                call("QS_TARGETS__B__TOKEN__FILE=/t", "--target b"),
                Some("target"),
            ),
            (call("IAM_USERNAME=a", "--state-dir /a"), call("IAM_USERNAME=b", "--state-dir /b"), None),
        ] {
            let found = shared(&format!("{first}{second}"));
            match differs {
                None => assert_eq!(found, [], "{first}{second}"),
                Some(part) => {
                    assert_eq!(found.len(), 1, "{first}{second}: {found:?}");
                    assert_eq!(
                        (found[0].0, found[0].1.ends_with(&format!("for another {part}"))),
                        (2, true),
                        "{found:?}"
                    );
                }
            }
        }
        let settings = format!("IAM_TENANT_ID=1\n{}IAM_TENANT_ID=2\n{}", call("", ""), call("", ""));
        assert_eq!(shared(&settings).len(), 1);
    }
}
