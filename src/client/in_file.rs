//! What the token file holds for a configuration.

use super::identity::{Difference, TokenIdentity};
use super::token::Token;
use super::token_file::Kept;

/// Whose the token in the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InFile {
    /// Of this configuration.
    Ours(Token),
    /// Of another one: it is as if no token were there.
    Foreign(Difference),
    /// Nobody says whose: other tools wrote it.
    Bare(Kept),
    /// There is none.
    Missing,
}

impl InFile {
    /// Whose a token is, for this identity.
    pub fn of(kept: Kept, identity: &TokenIdentity) -> Self {
        let difference = match &kept.identity {
            Some(of_token) => identity.difference(of_token),
            // An older sidecar knows the address of the login.
            None => identity.difference_of_issuer(kept.issuer.as_deref()),
        };
        match (difference, &kept.identity) {
            (Some(difference), _) => Self::Foreign(difference),
            (None, Some(_)) => Self::Ours(kept.token),
            (None, None) => Self::Bare(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::client::iam::tests::login;
    use crate::client::token_file::{Stored, TokenFile};
    use crate::config::call::LoginDialect;
    use crate::files::{self, Durability, PRIVATE};
    use crate::secret::Secret;

    /// What happens to a token file.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// A call to this server.
        Call(usize),
        /// A script writes a token.
        Script,
        /// The same, and takes the sidecar for rubbish.
        ScriptCleansUp,
        /// A process is killed after it has written its token for this server, and before its sidecar.
        Killed(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (0_usize..3).prop_map(Event::Call),
            2 => Just(Event::Script),
            1 => Just(Event::ScriptCleansUp),
            1 => (0_usize..3).prop_map(Event::Killed),
        ]
    }

    /// The token that a call to this server brings, as `TokenKeeper::current` gets it.
    fn call(file: &TokenFile, server: usize, new: &str) -> String {
        let identity = TokenIdentity::for_api(&format!("https://server-{server}").parse().unwrap());
        let found = match file.read(Timestamp::MAX).unwrap() {
            Stored::Token(kept) => InFile::of(kept, &identity),
            _ => InFile::Missing,
        };
        match found {
            InFile::Ours(token) => token.secret.expose().to_owned(),
            InFile::Bare(kept) => {
                file.adopt(&kept, &identity).unwrap();
                kept.token.secret.expose().to_owned()
            }
            InFile::Foreign(_) | InFile::Missing => {
                let token =
                    Token { secret: Secret::new(new), obtained_at: Timestamp::UNIX_EPOCH, expires_at: None };
                file.write(&token, &identity, &login(LoginDialect::PasswordV1)).unwrap();
                new.to_owned()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_token_is_ever_seen_by_two_servers(events in proptest::collection::vec(event(), 1..30)) {
            let dir = tempfile::tempdir().unwrap();
            let file = TokenFile::new(dir.path().join("token"), false);
            let put = |text: &str| files::replace(&file.path, text.as_bytes(), PRIVATE, Durability::Rename).unwrap();
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for (number, event) in events.iter().enumerate() {
                if let Event::Call(server) | Event::Killed(server) = *event {
                    let token = call(&file, server, &format!("granted-{number}"));
                    let first = *seen.entry(token.clone()).or_insert(server);
                    prop_assert_eq!(first, server, "{} after {:?}", token, &events[..=number]);
                }
                match *event {
                    Event::Call(_) => {}
                    Event::Script => put(&format!("script-{number}")),
                    Event::ScriptCleansUp => {
                        drop(std::fs::remove_file(dir.path().join("token.meta.json")));
                        put(&format!("script-{number}"));
                    }
                    // The token is written before its sidecar only where the old one is of the same server.
                    Event::Killed(server) => {
                        let token = format!("killed-{number}");
                        put(&token);
                        seen.insert(token, server);
                    }
                }
            }
        }
    }
}
