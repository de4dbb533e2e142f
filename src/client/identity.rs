//! Whose a token is and where it may go, so that it is used for nothing and nobody else.

use std::collections::BTreeMap;
use std::fmt;

use ring::digest;
use url::Url;

use crate::domain::hex::hex;

/// Name of the part that is the login's address.
pub const ADDRESS: &str = "login address";

/// What ties a token to a configuration. It is kept beside the token, in its sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenIdentity {
    /// The origin that the token is sent to: `https://api.example.com`. An origin is no secret, and an error names it.
    pub api_origin: String,
    /// Digests of the parts of the login, by name; a part that is not known is not there. They are told apart so that
    /// a difference can be named, and so that a part that one side does not know does not count.
    pub(super) parts: BTreeMap<String, String>,
}

/// Why a token is not for a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It goes elsewhere.
    Origin {
        /// For which it was got.
        kept: String,
        /// Which is configured.
        configured: String,
    },
    /// A part of the login differs: `account`.
    Login(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { kept, configured } => {
                write!(f, "it was got for the API at {kept}, not for {configured}")
            }
            Self::Login(part) => write!(f, "it was got with another {part}"),
        }
    }
}

impl TokenIdentity {
    /// A token for the origin of this address, and nothing known about its login.
    pub fn for_api(api: &Url) -> Self {
        Self { api_origin: api.origin().ascii_serialization(), parts: BTreeMap::new() }
    }

    /// Adds a part of the login.
    pub fn add(&mut self, name: &str, value: &str) {
        self.parts.insert(name.to_owned(), short_digest(name, value));
    }

    /// Why a token of `kept` is not for this configuration; none when it is.
    pub fn difference(&self, kept: &Self) -> Option<Difference> {
        if kept.api_origin != self.api_origin {
            let (kept, configured) = (kept.api_origin.clone(), self.api_origin.clone());
            return Some(Difference::Origin { kept, configured });
        }
        let differs =
            |(name, value): &(&String, &String)| kept.parts.get(*name).is_some_and(|kept| kept != *value);
        self.parts.iter().find(differs).map(|(name, _)| Difference::Login(name.clone()))
    }

    /// Why a token from this login address is not for this configuration; the address is all that is known of it.
    pub fn difference_of_issuer(&self, address: Option<&str>) -> Option<Difference> {
        let (own, address) = (self.parts.get(ADDRESS)?, address?);
        (*own != short_digest(ADDRESS, address)).then(|| Difference::Login(ADDRESS.to_owned()))
    }
}

/// Half of a SHA-256: enough to tell one account from another.
fn short_digest(name: &str, value: &str) -> String {
    hex(&digest::digest(&digest::SHA256, format!("{name}\0{value}").as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::call::SETTINGS;
    use crate::config::{Env, load};

    fn identity(change: (&str, &str)) -> TokenIdentity {
        let mut variables = vec![
            ("API_BASE_URL", "https://api.example.com/prefix"),
            ("IAM_BASE_URL", "https://iam.example.com"),
            ("IAM_USERNAME", "alice"),
            ("IAM_TENANT_ID", "1"),
        ];
        variables.retain(|(name, _)| *name != change.0);
        variables.push(change);
        let env = Env::from(<[_; 4]>::try_from(&variables[variables.len() - 4..]).unwrap());
        TokenIdentity::configured(&load(&SETTINGS, &[], &env).unwrap().config, None).unwrap()
    }

    #[test]
    fn whatever_makes_another_token_is_a_difference() {
        let alice = identity(("IAM_USERNAME", "alice"));
        for (change, says) in [
            (
                ("API_BASE_URL", "https://api.example.com:8443"),
                Some("the API at https://api.example.com, not"),
            ),
            (("API_BASE_URL", "http://api.example.com"), Some("not for http://api.example.com")),
            (("IAM_BASE_URL", "https://iam.example.com:444"), Some("another login address")),
            (("IAM_USERNAME", "bob"), Some("another account")),
            (("IAM_TENANT_ID", "2"), Some("another tenant")),
            (("IAM_TENANT_ID", ""), Some("another tenant")),
            (("API_BASE_URL", "https://API.example.com:443/other/prefix"), None),
            (("IAM_BASE_URL", "https://iam.example.com:443/"), None),
            // What one side does not know does not count.
            (("IAM_USERNAME", ""), None),
            (("IAM_BASE_URL", ""), None),
        ] {
            let difference = identity(change).difference(&alice).map(|difference| difference.to_string());
            match says {
                Some(says) => assert!(
                    difference.as_ref().is_some_and(|text| text.contains(says)),
                    "{change:?}: {difference:?}"
                ),
                None => assert_eq!(difference, None, "{change:?}"),
            }
        }
    }

    #[test]
    fn the_login_address_of_an_older_sidecar_counts() {
        let alice = identity(("IAM_USERNAME", "alice"));
        let (own, other) = ("https://iam.example.com/authn/login", "https://iam2.example.com/authn/login");
        assert_eq!(alice.difference_of_issuer(Some(own)), None);
        assert_eq!(alice.difference_of_issuer(None), None);
        assert_eq!(alice.difference_of_issuer(Some(other)), Some(Difference::Login(ADDRESS.to_owned())));
        assert_eq!(identity(("IAM_BASE_URL", "")).difference_of_issuer(Some(other)), None);
    }

    #[test]
    fn the_account_is_not_shown() {
        let text = format!("{:?}", identity(("IAM_USERNAME", "alice")));
        assert!(text.contains("\"https://api.example.com\"") && !text.contains("alice"), "{text}");
    }
}
