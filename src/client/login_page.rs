//! Whether a redirect leads to where people log in: a server that has no use for a token any more sends browsers there.

/// Parts of a path that name such a page.
const PATHS: [&str; 15] = [
    "login",
    "signin",
    "logon",
    "loginpage",
    "loginform",
    "sso",
    "saml",
    "saml2",
    "cas",
    "oauth",
    "oauth2",
    "authorize",
    "authenticate",
    "passport",
    "openidconnect",
];
/// First parts of a host's name that do.
const HOSTS: [&str; 8] = ["login", "signin", "sso", "auth", "accounts", "passport", "cas", "idp"];

/// Whether `location` is one, by its host, its path, or the path in its fragment; a query is not looked at, since it may
/// name any page.
pub(super) fn is_login_page(location: &str) -> bool {
    let (location, fragment) = location.split_once('#').unwrap_or((location, ""));
    let location = location.split('?').next().unwrap_or_default();
    let (host, path) = match location.split_once("//") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", location),
    };
    let host = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let fragment = fragment.split('?').next().unwrap_or_default();
    HOSTS.contains(&host.as_str()) || path.split('/').chain(fragment.split('/')).any(is_named)
}

/// `login`, `sign-in`, `Login.aspx`, `login;jsessionid=1`.
fn is_named(part: &str) -> bool {
    let stem = part.split(['.', ';', ':']).next().unwrap_or_default();
    let letters = stem.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    PATHS.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_page_is_known_by_its_address() {
        for (location, is) in [
            ("/login", true),
            ("/login?next=/api/v1/x", true),
            ("https://x.example/users/sign_in", true),
            ("https://x.example/Account/Login.aspx", true),
            ("login;jsessionid=1", true),
            ("/#/login", true),
            ("/realms/a/protocol/openid-connect/auth?x=1", true),
            ("https://login.example.com/abc", true),
            ("https://sso.example.com", true),
            ("//accounts.example.com/x", true),
            ("/oauth2/authorize?client_id=1", true),
            ("/api/v2/statistics", false),
            ("https://api.example.com/x?from=/login", false),
            ("/api/v1/login-statistics", false),
            ("/api/v1/catalogin/", false),
            ("", false),
        ] {
            assert_eq!(is_login_page(location), is, "{location}");
        }
    }
}
