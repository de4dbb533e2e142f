//! A proof that the configured credential is good: for `check`, and for the canary of an install.

use jiff::Timestamp;
use tokio::time::Instant;

use super::in_file::InFile;
use super::keeper::{NoToken, TokenKeeper};
use super::login_memory::{LoginMemory, Rejection};
use super::token::Token;
use super::token_file::Stored;

/// What shows that a credential is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A login just now.
    Login,
    /// The token in the file was got with this very credential, at this time, and it was not rejected since.
    Known(Timestamp),
    /// Nothing: no credential is configured, and the token in the file needs none until it ends.
    None,
}

impl TokenKeeper {
    /// A token, and what shows that its credential is good: a login, unless the token in the file is of this very
    /// credential. A wrong password is found although an older token is still valid. A rejection that holds is told,
    /// and the IAM is not asked.
    ///
    /// # Errors
    /// Why there is no token, or that the credential was rejected.
    pub async fn proven(&self, deadline: Instant) -> Result<(Token, Proof), NoToken> {
        let login = match self.login_settings() {
            Ok(login) => login,
            // What is missing is told by whoever needs it; a token that is valid does not.
            Err(NoToken::Misconfigured(_) | NoToken::NoInput(_)) => {
                let (token, _) = self.current(deadline).await?;
                return Ok((token, Proof::None));
            }
            Err(error) => return Err(error),
        };
        let now = self.clock.now();
        let memory = LoginMemory::read(&self.file.memory_path(), now);
        if let Some(held) = memory.forbids(&login, now).filter(|_| !self.force_login) {
            return Err(NoToken::Rejected(held.not_tried_again()));
        }
        if let Stored::Token(kept) = self.file.read(now).map_err(NoToken::Insecure)?
            && kept.credential.as_ref().is_some_and(|credential| credential.is_of(&login))
            && memory.rejection_of(&login).is_none()
            && let InFile::Ours(token) = InFile::of(kept, &self.identity()?)
            && self.is_fresh(&token)
        {
            self.redactor.add(&token.secret);
            let since = token.obtained_at;
            return Ok((token, Proof::Known(since)));
        }
        Ok((self.refresh(deadline).await?, Proof::Login))
    }

    /// The rejection that keeps the next call from logging in; of the configured credential, if one is configured.
    pub fn held(&self) -> Option<Rejection> {
        let now = self.clock.now();
        let memory = LoginMemory::read(&self.file.memory_path(), now);
        match self.login_settings() {
            Ok(login) => memory.forbids(&login, now).cloned(),
            Err(_) => memory.rejection.filter(|rejection| now < rejection.held_until()),
        }
    }
}
