//! Which proxy a request goes through, as the environment says, and what is reached without one.
//!
//! The rules are curl's: a name covers itself and every name below it. Nothing is skipped that is not understood: a
//! token must not go through a proxy because an entry of `NO_PROXY` was written for another program.

use std::net::IpAddr;

use url::{Host, Url};

use super::error::TransportError;
use crate::config::{Env, without_userinfo};
use crate::domain::host::is_loopback;

/// A value of the environment and the variable that it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
}

impl Named {
    fn first(env: &Env, variables: &[&'static str]) -> Option<Self> {
        variables.iter().find_map(|&variable| {
            env.get(variable).map(|value| Self { variable, value: value.trim().to_owned() })
        })
    }
}

/// Proxies as the environment names them. They are read when a request may need one: a wrong setting that no request
/// needs is no failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Named>,
    http: Option<Named>,
    direct: Option<Named>,
}

impl Proxies {
    /// As curl reads them: `https_proxy` or `HTTPS_PROXY` for https; only the lower-case `http_proxy` for http, because
    /// a CGI program can be made to see `HTTP_PROXY`; `all_proxy` or `ALL_PROXY` for both.
    pub fn of(env: &Env) -> Self {
        Self {
            https: Named::first(env, &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            http: Named::first(env, &["http_proxy", "all_proxy", "ALL_PROXY"]),
            direct: Named::first(env, &["no_proxy", "NO_PROXY"]),
        }
    }

    /// The proxy for `url`; none when it is reached directly, as this machine always is.
    ///
    /// # Errors
    /// The variable that cannot be understood. Nothing has been sent.
    pub(super) fn of_url(&self, url: &Url) -> Result<Option<Url>, TransportError> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(proxy) = proxy.as_ref().filter(|_| !url.host_str().is_some_and(is_loopback)) else {
            return Ok(None);
        };
        if let Some(Named { variable, value }) = &self.direct {
            let entries = Direct::list(value).map_err(|entry| TransportError::NoProxy { variable, entry })?;
            if entries.iter().any(|entry| entry.covers(url)) {
                return Ok(None);
            }
        }
        parse(proxy).map(Some)
    }
}

/// The address of a proxy without its password.
pub(super) fn show(proxy: &Url) -> String {
    without_userinfo(proxy.as_str()).trim_end_matches('/').to_owned()
}

/// A proxy's URL; without a scheme it is an http one. The value is not shown, since it may hold a password.
fn parse(proxy: &Named) -> Result<Url, TransportError> {
    let Named { variable, value } = proxy;
    let text = if value.contains("://") { value.clone() } else { format!("http://{value}") };
    let url = Url::parse(&text).map_err(|_| TransportError::Proxy { variable })?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(TransportError::Proxy { variable }),
        scheme => Err(TransportError::ProxyKind { variable, scheme: scheme.to_owned() }),
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    /// `*`
    Everything,
    /// A name and what is below it, on this port or on all.
    Name(String, Option<u16>),
    /// Addresses whose first bits are these, on this port or on all.
    Network(IpAddr, u32, Option<u16>),
}

impl Direct {
    /// Entries stand between commas or blanks. The error is the first that cannot be understood.
    fn list(text: &str) -> Result<Vec<Self>, String> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        entries.map(|entry| Self::parse(entry).ok_or_else(|| entry.to_owned())).collect()
    }

    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = bare(address).parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Self::Network(address, bits, None));
        }
        if let Ok(address) = bare(entry).parse::<IpAddr>() {
            return Some(Self::Network(address, width(address), None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let host = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).unwrap_or(host);
        if host.contains('*') {
            return None;
        }
        match Host::parse(host.trim_end_matches('.')).ok()? {
            Host::Domain(name) => Some(Self::Name(name, port)),
            Host::Ipv4(address) => Some(Self::Network(address.into(), 32, port)),
            Host::Ipv6(address) => Some(Self::Network(address.into(), 128, port)),
        }
    }

    fn covers(&self, url: &Url) -> bool {
        let on = |port: &Option<u16>| port.is_none() || *port == url.port_or_known_default();
        match (self, url.host()) {
            (Self::Everything, _) => true,
            (Self::Name(name, port), Some(Host::Domain(host))) => {
                let above = host.trim_end_matches('.').strip_suffix(name.as_str());
                on(port) && above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(network, bits, port), Some(Host::Ipv4(host))) => {
                on(port) && same_bits(*network, host.into(), *bits)
            }
            (Self::Network(network, bits, port), Some(Host::Ipv6(host))) => {
                on(port) && same_bits(*network, IpAddr::from(host).to_canonical(), *bits)
            }
            _ => false,
        }
    }
}

fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address)
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether two addresses of one kind begin with the same bits.
fn same_bits(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let differing = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differing.checked_shr(width(a) - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn every_form_of_no_proxy_is_understood() {
        for (entry, covered, others) in [
            ("*", "http://anything", ""),
            ("*", "http://10.1.2.3", ""),
            ("*", "https://[fd00::1]:8443", ""),
            ("a.b *", "http://10.1.2.3", ""),
            ("a.b\t10.1.2.3  10.1.2.4", "http://10.1.2.4", "http://10.1.2.5"),
            ("job.x.internal", "http://job.x.internal", "http://ajob.x.internal"),
            ("x.internal", "http://job.x.internal:8080", "http://job.y.internal"),
            (".x.internal", "http://job.x.internal", "http://jobx.internal"),
            (".x.internal", "http://x.internal", "http://x.internal.example.com"),
            ("*.x.internal", "http://a.job.x.internal", "http://x.internals"),
            ("X.Internal", "http://JOB.x.INTERNAL", "http://internal"),
            ("job.x.internal:80", "http://job.x.internal", "https://job.x.internal"),
            ("job.x.internal:443", "https://job.x.internal", "http://job.x.internal"),
            ("*.x.internal:8080", "http://job.x.internal:8080", "http://job.x.internal"),
            ("job.x.internal.", "http://job.x.internal", "http://job.x.internal.y"),
            ("job.x.internal", "http://job.x.internal./", "http://other.x.internal."),
            ("例子.internal", "http://xn--fsqu00a.internal", "http://internal"),
            ("a.b , c.d", "http://c.d", "http://c.e"),
            ("a.b c.d", "http://c.d", "http://c.e"),
            ("a.b,,", "http://a.b", "http://c.e"),
            ("10.1.2.3", "http://10.1.2.3:8080", "http://10.1.2.4"),
            ("10.1.2.3:8080", "http://10.1.2.3:8080", "http://10.1.2.3"),
            ("10.0.0.0/8", "http://10.255.0.1", "http://11.0.0.1"),
            ("10.9.8.7/8", "http://10.255.0.1", "http://[fd00::1]"),
            ("0.0.0.0/0", "http://192.0.2.1", "http://[fd00::1]"),
            ("192.168.1.0/25", "http://192.168.1.127", "http://192.168.1.128"),
            ("fd00::1", "http://[fd00::1]:8080", "http://[fd00::2]"),
            ("[fd00::1]", "http://[fd00::1]", "http://[fd00::2]"),
            ("[fd00::1]:8080", "http://[fd00::1]:8080", "http://[fd00::1]"),
            ("fd00::/8", "http://[fdff::1]", "http://[fe80::1]"),
            ("[fd00::]/8", "http://[fdff::1]", "http://10.0.0.1"),
            ("10.0.0.0/8", "http://[::ffff:10.0.0.1]", "http://[::ffff:11.0.0.1]"),
        ] {
            let entries = Direct::list(entry).unwrap_or_else(|entry| panic!("{entry} is not understood"));
            let covers = |address: &str| entries.iter().any(|entry| entry.covers(&url(address)));
            assert!(covers(covered), "{entry} covers {covered}");
            assert!(others.is_empty() || !covers(others), "{entry} covers {others}");
        }
    }

    #[test]
    fn what_is_not_understood_names_the_variable_and_the_entry() {
        for entry in
            ["10.0.0.*", "*.x.*", "10.0.0.0/33", "10.0.0.0/x", "a b:c", "x:99999", "http://x", "<local>"]
        {
            let env = Env::from([("http_proxy", "http://p"), ("NO_PROXY", entry)]);
            let error = Proxies::of(&env).of_url(&url("http://y.internal")).unwrap_err().to_string();
            assert!(error.starts_with("NO_PROXY: "), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_chosen_by_scheme_and_never_for_this_machine() {
        let env = Env::from([
            ("HTTPS_PROXY", "http://secure:3128"),
            ("HTTP_PROXY", "http://cgi"),
            ("all_proxy", "every:8080"),
        ]);
        let proxies = Proxies::of(&env);
        for (target, proxy) in [
            ("https://x.internal", Some("http://secure:3128/")),
            ("http://x.internal", Some("http://every:8080/")),
            ("http://127.0.0.1:1", None),
            ("https://[::1]", None),
            ("http://localhost", None),
        ] {
            let found = proxies.of_url(&url(target)).unwrap();
            assert_eq!(found.as_ref().map(Url::as_str), proxy, "{target}");
        }
    }

    #[test]
    fn a_kind_of_proxy_that_there_is_not_is_refused_by_name() {
        for (variable, value, says) in [
            ("ALL_PROXY", "socks5://u:hunter2@x:1", "ALL_PROXY: socks5:// proxies are not supported"),
            ("http_proxy", "socks4a://x", "http_proxy: socks4a:// proxies are not supported"),
            ("all_proxy", "http://", "all_proxy: expected the URL of a proxy"),
            ("all_proxy", "http://u:hunter2@x:port", "all_proxy: expected the URL of a proxy"),
        ] {
            let proxies = Proxies::of(&Env::from([(variable, value)]));
            let error = proxies.of_url(&url("http://y.internal")).unwrap_err().to_string();
            assert!(error.starts_with(says) && !error.contains("hunter2"), "{error}");
            assert_eq!(proxies.of_url(&url("http://localhost")).unwrap(), None, "{variable} is not needed");
        }
        assert_eq!(show(&url("http://u:hunter2@proxy:3128")), "http://proxy:3128");
    }
}
