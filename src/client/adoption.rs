//! The token file read for a configuration. A bare token, as scripts leave it, is adopted once, for the API that is
//! configured then; from then on it goes nowhere else.

use tokio::time::Instant;
use tracing::{debug, warn};

use super::identity::{Difference, TokenIdentity};
use super::in_file::InFile;
use super::keeper::{NoToken, TokenKeeper};
use super::token_file::Stored;

impl TokenKeeper {
    /// Whose a token must be, and where it goes.
    ///
    /// # Errors
    /// The address of the API is none.
    pub fn identity(&self) -> Result<TokenIdentity, NoToken> {
        TokenIdentity::configured(&self.config, self.credentials_directory.as_deref())
    }

    /// What the file holds for this configuration.
    ///
    /// # Errors
    /// Others can read it, or the address of the API is none.
    pub fn in_file(&self) -> Result<InFile, NoToken> {
        match self.file.read(self.clock.now()).map_err(NoToken::Insecure)? {
            Stored::Token(kept) => {
                self.redactor.add(&kept.token.secret);
                let ends_at = kept.token.ends_at(&self.policy);
                debug!(path = %self.file.path.display(), %ends_at, "Token file read");
                Ok(InFile::of(kept, &self.identity()?))
            }
            Stored::Missing => Ok(InFile::Missing),
            Stored::Broken(reason) => {
                warn!(event = "token_broken", path = %self.file.path.display(), "Token file is not usable: {reason}");
                Ok(InFile::Missing)
            }
        }
    }

    /// Adopts the bare token of the file, under the lock, since another process may adopt it for another API. What
    /// cannot be written down is not adopted: nothing would keep the token from a server that is configured later.
    pub(super) async fn adopted(&self, deadline: Instant) -> Result<InFile, NoToken> {
        let lock = self.lock(deadline).await?;
        let InFile::Bare(kept) = self.in_file()? else { return self.in_file() };
        let identity = self.identity()?;
        let api = &identity.api_origin;
        let written = match lock {
            Some(_) => self.file.adopt(&kept, &identity).map_err(|error| error.to_string()),
            None => Err("there is no lock".to_owned()),
        };
        match written {
            Ok(()) => {
                debug!("The token of the file is for {api} from now on");
                Ok(InFile::Ours(kept.token))
            }
            Err(error) => {
                let hint = "make its directory writable, or write FILE.meta.json with its api_origin and token_sha256";
                warn!(
                    event = "token_not_adopted",
                    error,
                    "The token of the file is not used, for it cannot be written down that it is for {api} (hint: {hint})"
                );
                Ok(InFile::Missing)
            }
        }
    }
}

impl NoToken {
    /// Why there is no token, though there is one in the file: where no login can be made, that is what must be known.
    pub(super) fn instead_of(self, difference: &Difference) -> Self {
        let told = |text| format!("the token in the file is not used, for {difference}; {text}");
        match self {
            Self::Misconfigured(text) => Self::Misconfigured(told(text)),
            Self::NoInput(text) => Self::NoInput(told(text)),
            other => other,
        }
    }
}
