//! Which call a line makes: the name of its task, and the identity that tells it from every other line.
//!
//! A name is for people, so it says little. Whatever it would lose is in a digest behind it, and what no line says alone,
//! such as the server, is in the identity that the lock and the record carry.

use serde::{Deserialize, Serialize};

use super::invocation::Invocation;
use crate::domain::digest::{fnv32, fnv64};

/// The prefix that a plain name leaves out.
const PREFIX: &str = "/api/v1/";
/// Longest name of a task: a file name must hold it and more.
const LONGEST: usize = 128;
/// Digits of the digest behind a name.
const DIGITS: usize = 8;

/// One of the things that make a request what it is: which, and its value.
type Part<'a> = (&'static str, &'a str);

/// What tells one line from another, whatever their tasks are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallIdentity {
    /// A digest of request, server and account, 16 hexadecimal digits; empty when it is not known.
    #[serde(rename = "identity", default)]
    pub digest: String,
    /// The call in words: `POST http://localhost:8080/api/v1/x`.
    #[serde(default)]
    pub call: String,
}

impl CallIdentity {
    /// Whether both are known and differ.
    pub fn differs(&self, other: &Self) -> bool {
        !self.digest.is_empty() && !other.digest.is_empty() && self.digest != other.digest
    }
}

impl Invocation {
    /// The task's name: as given, or made of the endpoint.
    ///
    /// `/api/v1/statistics/sync/daily` is `statistics-sync-daily`. A line of which this name would lose something (another
    /// method, body, query or header, another prefix, a slash too many, a letter that a file name cannot have) gets a
    /// digest behind it, so that lines which send different requests are different tasks.
    pub fn task_name(&self) -> String {
        if let Some(task) = &self.task {
            return task.clone();
        }
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        let (path, query) = match endpoint.find(['?', '#']) {
            Some(at) => (&endpoint[..at], Some(&endpoint[at..])),
            None => (endpoint, None),
        };
        let name = spelled(path);
        let is_whole = is_spelled_whole(path);
        let is_plain =
            self.method() == "POST" && self.data.is_none() && self.query.is_empty() && query.is_none();
        if is_whole && is_plain && !self.has_more() {
            return name;
        }
        let head = name[..name.len().min(LONGEST - DIGITS - 1)].trim_end_matches(['-', '.']);
        let digest = if is_whole && head.len() == name.len() && query != Some("?") && !self.has_more() {
            self.variant(query.unwrap_or_default())
        } else {
            fnv32(spread(&self.request()))
        };
        format!("{head}-{digest:0DIGITS$x}")
    }

    /// What tells this line from every other one; `elsewhere` is what the line does not say itself, such as the server.
    pub fn identity(&self, server: &str, elsewhere: &[Part<'_>]) -> CallIdentity {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        let server = without_account(server);
        let parts = [&self.request()[..], &[("server", server.as_str())], elsewhere].concat();
        CallIdentity {
            digest: format!("{:016x}", fnv64(spread(&parts))),
            call: format!("{} {}{endpoint}", self.method(), server.trim_end_matches('/')),
        }
    }

    /// Everything of the line that makes its request another one. The method apart, as it is written.
    fn request(&self) -> Vec<Part<'_>> {
        let method = self.method.as_deref().filter(|method| !method.eq_ignore_ascii_case("POST"));
        let one = [
            ("endpoint", self.endpoint.as_deref()),
            ("method", method),
            ("data", self.data.as_deref()),
            ("target", self.target.as_deref()),
            ("content-type", self.content_type.as_deref()),
            ("no-body", self.no_body.then_some("")),
            ("no-auth", self.no_auth.then_some("")),
        ];
        let many = [("query", &self.query), ("header", &self.header)];
        let one = one.into_iter().filter_map(|(what, value)| Some((what, value?)));
        let many = many
            .into_iter()
            .flat_map(|(what, values)| values.iter().map(move |value| (what, value.as_str())));
        one.chain(many).collect()
    }

    /// Whether something of the request is neither in a plain name nor in [`Self::variant`].
    fn has_more(&self) -> bool {
        !self.header.is_empty()
            || self.target.is_some()
            || self.content_type.is_some()
            || self.no_body
            || self.no_auth
    }

    /// The digest of method, body and query, as it has been since there are tasks: a name once published stays.
    fn variant(&self, query: &str) -> u32 {
        let query = query.strip_prefix('?').unwrap_or(query);
        let parts = [&self.method(), self.data.as_deref().unwrap_or_default(), query];
        let parts = parts.into_iter().chain(self.query.iter().map(String::as_str));
        fnv32(parts.flat_map(|part| part.bytes().chain([0])))
    }
}

/// An address without what may be a secret in it: account, password, query. One that has them is refused later.
fn without_account(server: &str) -> String {
    let server = server.split(['?', '#']).next().unwrap_or_default();
    let behind = |text: &str| text.rsplit('@').next().unwrap_or_default().to_owned();
    match server.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", behind(rest)),
        None => behind(server),
    }
}

/// A path as a name: the prefix left out, and `-` for what a name cannot have.
fn spelled(path: &str) -> String {
    let path = [PREFIX, "/internal/v1/"].iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
    let name: String = path.trim_matches('/').chars().map(plain).collect();
    match name.trim_matches(['-', '.']) {
        "" => "root".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether the path can be told from its name: `-` stands for `/` alone, and nothing was left out but the prefix. What
/// looks like a digest at the end is taken for one.
fn is_spelled_whole(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(PREFIX) else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let like_digest = |segment: &str| {
        segment.len() == DIGITS && segment.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    rest.len() <= LONGEST
        && !rest.starts_with('.')
        && !rest.ends_with('.')
        && rest.split('/').all(|segment| !segment.is_empty() && segment.chars().all(plain))
        && !rest.rsplit('/').next().is_some_and(like_digest)
}

/// The parts as bytes, with an end behind each. No argument of a process holds a NUL.
fn spread<'a>(parts: &'a [Part<'_>]) -> impl Iterator<Item = u8> + 'a {
    parts.iter().flat_map(|(what, value)| what.bytes().chain([0]).chain(value.bytes()).chain([0]))
}

#[cfg(test)]
mod tests {
    use super::super::invocation::check_task_name;
    use super::*;
    use proptest::prelude::*;

    fn invocation(endpoint: &str) -> Invocation {
        Invocation { endpoint: Some(endpoint.to_owned()), ..Invocation::default() }
    }

    #[test]
    fn a_task_is_named_after_its_endpoint() {
        for (endpoint, name) in [
            ("/api/v1/statistics/sync/daily", "statistics-sync-daily"),
            ("/api/v1/statistics/sync/accumulated", "statistics-sync-accumulated"),
            ("/api/v1/statistics/sync/plan", "statistics-sync-plan"),
            ("/api/v1/statistics/validate", "statistics-validate"),
            ("/api/v1/plans/tasks/schedule", "plans-tasks-schedule"),
            ("/api/v1/a_b/c.d", "a_b-c.d"),
            ("/internal/v1/plans/tasks/schedule", "plans-tasks-schedule-d4f10882"),
            ("/health", "health-"),
            ("/", "root-"),
            ("/api/v1/", "root-"),
            ("/任务/每日", "root-"),
            ("/a b/../c", "a-b-..-c-"),
            ("/api/v1/x/20261120", "x-20261120-"),
        ] {
            let found = invocation(endpoint).task_name();
            assert!(
                if name.ends_with('-') { found.starts_with(name) } else { found == name },
                "{endpoint}: {found}"
            );
            assert!(check_task_name(&found).is_ok(), "{found}");
        }
        let named = Invocation { task: Some("mine".to_owned()), ..invocation("/x") };
        assert_eq!(named.task_name(), "mine");
    }

    #[test]
    fn names_that_were_published_stay() {
        let plain = invocation("/api/v1/x");
        let data = Invocation { data: Some("{\"org\":1}".to_owned()), ..plain.clone() };
        let get = Invocation { method: Some("get".to_owned()), ..plain.clone() };
        let query = Invocation { query: vec!["a=1".to_owned()], ..plain };
        let names = [data, get, query, invocation("/api/v1/x?a=2")].map(|line| line.task_name());
        assert_eq!(names, ["x-f441a8ec", "x-7db101dd", "x-ee10d31a", "x-64db6d2f"]);
    }

    #[test]
    fn what_a_name_loses_is_in_the_digest_behind_it() {
        let more = |endpoint: &str, header: &[&str], data: Option<&str>| {
            let header = header.iter().map(|line| (*line).to_owned()).collect();
            Invocation { header, data: data.map(str::to_owned), ..invocation(endpoint) }.task_name()
        };
        let long = format!("/api/v1/{}", "a".repeat(200));
        let names = [
            more("/api/v1/x", &[], None),
            more("/internal/v1/x", &[], None),
            more("/x", &[], None),
            more("/api/v1/x/", &[], None),
            more("/api/v1//x", &[], None),
            more("/api/v1/x?", &[], None),
            more("/api/v1/x", &["X-Org: 1"], None),
            more("/api/v1/x", &["X-Org: 2"], None),
            more("/api/v1/x", &["X-Org: 2"], Some("{}")),
            more("/internal/v1/x", &[], Some("{}")),
            more("/api/v1/x", &[], Some("{}")),
            more("/api/v1/X", &[], None),
            more("/api/v1/%78", &[], None),
            more("/api/v1/a-b/c", &[], None),
            more("/api/v1/a/b-c", &[], None),
            more("/api/v1/a/b/c", &[], None),
            more("/api/v1/每日", &[], None),
            more("/api/v1/每月", &[], None),
            more(&long, &[], None),
            more(&format!("{long}b"), &[], None),
        ];
        for (i, name) in names.iter().enumerate() {
            assert!(check_task_name(name).is_ok(), "{name}");
            assert!(!names[..i].contains(name), "{name} twice in {names:?}");
        }
    }

    #[test]
    fn the_server_and_the_account_are_in_the_identity() {
        let line = Invocation { task: Some("mine".to_owned()), ..invocation("/api/v1/x") };
        let here = line.identity("http://a", &[("tenant", "1")]);
        assert_eq!(here.call, "POST http://a/api/v1/x");
        assert_eq!(here, line.identity("http://a", &[("tenant", "1")]));
        for other in
            [line.identity("http://b", &[("tenant", "1")]), line.identity("http://a", &[("tenant", "2")])]
        {
            assert!(here.differs(&other));
        }
        let secret = line.identity("https://user:hunter2@a/b", &[]);
        assert_eq!(secret.call, "POST https://a/b/api/v1/x", "an account in an address is never shown");
        assert!(!here.differs(&CallIdentity::default()), "what is not known is not another one");
    }

    prop_compose! {
        fn line()(
            endpoint in "(/api/v1/|/internal/v1/|/)[aA-b每%./]{0,6}[?]?[ab=]{0,3}",
            method in prop::option::of(prop::sample::select(vec!["POST", "GET", "put"])),
            data in prop::option::of("[{}12]{1,3}"),
            query in prop::collection::vec("[ab]=[12]", 0..3),
            header in prop::collection::vec("X: [12]", 0..3),
        ) -> Invocation {
            let method = method.map(str::to_owned);
            Invocation { endpoint: Some(endpoint), method, data, query, header, ..Invocation::default() }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
        #[test]
        fn two_lines_that_send_different_requests_never_have_one_name(a in line(), b in line()) {
            prop_assert!(check_task_name(&a.task_name()).is_ok());
            if a.request() != b.request() {
                prop_assert_ne!(a.task_name(), b.task_name());
                prop_assert!(a.identity("", &[]).differs(&b.identity("", &[])));
            } else {
                prop_assert_eq!(a.task_name(), b.task_name());
            }
        }
    }
}
