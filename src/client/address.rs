//! Where a request goes: a base URL and an endpoint, joined, and whether plain http may be used to get there.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::without_userinfo;

/// Why an address is refused. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The base is no URL that a call can go to.
    #[error("base URL {base:?}: {reason}")]
    Base {
        /// The base without credentials.
        base: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The endpoint is no path.
    #[error("endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A token would travel in clear over a network that nobody vouches for.
    #[error("plain http to {host:?} would send the token in clear (hint: use https, or --allow-plaintext)")]
    Plaintext {
        /// The host that plain http would reach.
        host: String,
    },
}

/// Reads a base URL: http or https, a host, no credentials, query or fragment; a path is a prefix.
pub fn base(text: &str, allow_plaintext: bool) -> Result<Url, AddressError> {
    let refuse = |reason| AddressError::Base { base: without_userinfo(text), reason };
    let url = Url::parse(text).map_err(|_| {
        // RFC 6874; the library for URLs, as browsers do, has no zones.
        let zone = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        if zone.is_some_and(|(address, _)| address.contains('%')) {
            return refuse(
                "zones of IPv6 addresses (%eth0) are not supported; give a name or an address without one",
            );
        }
        refuse("expected http://HOST[:PORT][/PATH] or https://…")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("the scheme must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("credentials do not belong in a URL; set iam.username and iam.password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("a base has no query and no fragment"));
    }
    if url.scheme() == "http" && !allow_plaintext && !is_private(&url) {
        return Err(AddressError::Plaintext { host: url.host_str().unwrap_or_default().to_owned() });
    }
    Ok(url)
}

/// Appends an endpoint (a path that begins with `/`, perhaps with a query) and further query parameters to a base.
pub fn join(base: &Url, endpoint: &str, query: &[(String, String)]) -> Result<Url, AddressError> {
    let refuse = |reason| AddressError::Endpoint { endpoint: endpoint.to_owned(), reason };
    if !endpoint.starts_with('/') || endpoint.starts_with("//") {
        return Err(refuse("expected a path that begins with one /, such as /api/v1/statistics/sync/daily"));
    }
    if endpoint.chars().any(|c| c.is_control() || c == '\\' || c == '#') {
        return Err(refuse("control characters, backslashes and # are not allowed"));
    }
    let (path, own_query) =
        endpoint.split_once('?').map_or((endpoint, None), |(path, query)| (path, Some(query)));
    let climbs = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == ".." || plain == "."
    };
    if path.split('/').any(climbs) {
        return Err(refuse("`.` and `..` are not allowed"));
    }
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(own_query);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Whether the host is one that plain http may reach: loopback, private, link-local, single-label or cluster-local.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_private_ip(ip.into()),
        Some(Host::Ipv6(ip)) => is_private_ip(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let local = [".localhost", ".local", ".internal", ".svc", ".cluster.local"];
            !name.contains('.') || local.iter().any(|suffix| name.ends_with(suffix))
        }
        None => false,
    }
}

/// RFC 1918, RFC 4193, loopback and link-local addresses.
fn is_private_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_private_ip(mapped.into()),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_at_home() {
        for (url, allowed) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:80", true),
            ("http://10.1.2.3", true),
            ("http://172.16.0.1", true),
            ("http://192.168.1.1", true),
            ("http://169.254.1.1", true),
            ("http://[fd00::1]", true),
            ("http://[::ffff:10.0.0.1]", true),
            ("http://qs-apiserver:8080", true),
            ("http://qs.default.svc", true),
            ("http://qs.default.svc.cluster.local", true),
            ("http://qs.corp.internal.", true),
            ("http://172.32.0.1", false),
            ("http://8.8.8.8", false),
            ("http://[2001:db8::1]", false),
            ("http://api.example.com", false),
            ("http://localhost.example.com", false),
            ("https://api.example.com", true),
        ] {
            assert_eq!(base(url, false).is_ok(), allowed, "{url}");
            assert!(base(url, true).is_ok(), "{url} with --allow-plaintext");
        }
    }

    #[test]
    fn a_base_is_an_origin_with_a_prefix() {
        for url in
            ["", "localhost:8080", "ftp://x", "https://", "https://u:p@x", "https://x/?a=1", "https://x/#f"]
        {
            assert!(base(url, true).is_err(), "{url:?}");
        }
        let zone = base("http://[fe80::1%25eth0]:8080", false).unwrap_err().to_string();
        assert!(zone.contains("zones of IPv6 addresses"), "{zone}");
        let error = base("https://user:hunter2@example.com", false).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("example.com"), "{error}");
    }

    #[test]
    fn endpoints_are_paths() {
        let join = |base_url: &str, endpoint| join(&base(base_url, true).unwrap(), endpoint, &[]);
        for (base_url, endpoint, joined) in [
            ("http://h", "/a/b", "http://h/a/b"),
            ("http://h/", "/a", "http://h/a"),
            ("http://h/prefix/", "/a?x=1", "http://h/prefix/a?x=1"),
            ("http://h", "/a%20b", "http://h/a%20b"),
            ("http://h", "/任务", "http://h/%E4%BB%BB%E5%8A%A1"),
        ] {
            assert_eq!(join(base_url, endpoint).unwrap().as_str(), joined);
        }
        for endpoint in [
            "",
            "a",
            "//evil.example",
            "http://evil.example/",
            "/../x",
            "/a/%2e%2E/b",
            "/a\r\nX: y",
            "/\\evil",
            "/#f",
        ] {
            assert!(join("http://h", endpoint).is_err(), "{endpoint:?}");
        }
    }

    #[test]
    fn query_parameters_are_encoded() {
        let query = [("date".to_owned(), "2026-11-20 & more".to_owned())];
        let url = join(&base("http://h", true).unwrap(), "/a?x=1", &query).unwrap();
        assert_eq!(url.as_str(), "http://h/a?x=1&date=2026-11-20+%26+more");
    }
}
