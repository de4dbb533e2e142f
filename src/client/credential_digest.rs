//! A digest by which a credential is known again, and from which it cannot be read: for the memory of rejected logins,
//! and for what is known beside a token.

use std::num::NonZeroU32;

use ring::pbkdf2;
use serde::{Deserialize, Serialize};

use super::iam::Login;
use crate::domain::hex::hex;

/// Rounds of PBKDF2: a few milliseconds at a login, which is rare; so much dearer is each guess of whoever has the file.
/// Tests compute thousands.
const ROUNDS: NonZeroU32 = NonZeroU32::new(if cfg!(test) { 2 } else { 10_000 }).expect("neither is zero");

/// Which credential: a salted digest of everything that a login sends, but the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialDigest {
    salt: String,
    digest: String,
}

impl CredentialDigest {
    /// The digest of the credential of `login`, with a salt of its own.
    pub fn of(login: &Login) -> Self {
        let salt = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self { digest: digest(&salt, login), salt }
    }

    /// Whether it is the digest of the credential of `login`.
    pub fn is_of(&self, login: &Login) -> bool {
        self.digest == digest(&self.salt, login)
    }
}

fn digest(salt: &str, login: &Login) -> String {
    let mut out = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ROUNDS,
        salt.as_bytes(),
        login.credential().expose().as_bytes(),
        &mut out,
    );
    hex(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::iam::tests::login;
    use crate::config::call::LoginDialect;
    use crate::secret::Secret;

    #[test]
    fn every_part_of_a_credential_counts_and_no_part_is_shown() {
        let known = login(LoginDialect::PasswordV1);
        let digest = CredentialDigest::of(&known);
        assert!(digest.is_of(&known) && digest != CredentialDigest::of(&known), "the salts differ");
        let text = serde_json::to_string(&digest).unwrap();
        assert!(!text.contains(known.secret.expose()) && !text.contains(&known.account), "{text}");
        let changed = [
            Login { url: "https://iam2.example/login".parse().unwrap(), ..known.clone() },
            Login { dialect: LoginDialect::PasswordV2, ..known.clone() },
            Login { account: "another".to_owned(), ..known.clone() },
            Login { secret: Secret::new("another"), ..known.clone() },
            Login { tenant_id: None, ..known.clone() },
            Login { scope: None, ..known.clone() },
            Login { audience: Some("b".to_owned()), ..known.clone() },
        ];
        for other in changed {
            assert!(!digest.is_of(&other), "{other:?}");
        }
        assert!(digest.is_of(&Login { device_id: "another".to_owned(), ..known }));
    }
}
