//! Which hosts are this machine.

use std::net::{IpAddr, Ipv6Addr};

/// Whether a host, as it stands in a URL, is this machine: 127.0.0.0/8, `[::1]`, `localhost` and names below it.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = bare {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_no_other() {
        for host in ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "api.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "[fe80::1]", "localhost.example.com", "notlocalhost", "", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
