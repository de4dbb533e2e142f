//! The keeper of the token: hands out a fresh one with as few logins as there can be, among any number of processes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::clock_difference::ClockWatch;
use super::iam::Login;
use super::in_file::InFile;
use super::login_memory::{LoginMemory, Unavailable};
use super::token::{Token, TokenPolicy};
use super::token_file::{InsecureToken, TokenFile};
use super::transport::Transport;
use crate::clock::SharedClock;
use crate::config::call::CallConfig;
use crate::domain::duration;
use crate::domain::outcome::{CallOutcome, TokenSource};
use crate::files::FileLock;
use crate::secret::Redactor;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Others can read the token file.
    #[error(transparent)]
    Insecure(InsecureToken),
    /// The IAM does not accept the credential, now or at the last login.
    #[error("login rejected: {0}")]
    Rejected(String),
    /// The IAM cannot be asked, or another process has been logging in for too long.
    #[error("no token: {0}")]
    Unavailable(String),
    /// The IAM's reply is no answer to a login.
    #[error("login failed: {0}")]
    Protocol(String),
    /// The login is not configured, or not safely.
    #[error("{0}")]
    Misconfigured(String),
    /// A credential file is missing.
    #[error("{0}")]
    NoInput(String),
}

impl NoToken {
    /// What a call without a token comes to.
    pub fn outcome(&self) -> CallOutcome {
        match self {
            Self::Insecure(_) | Self::Misconfigured(_) => CallOutcome::Misconfigured,
            Self::Rejected(_) => CallOutcome::Unauthenticated,
            Self::Unavailable(_) => CallOutcome::TryLater,
            Self::Protocol(_) => CallOutcome::Protocol,
            Self::NoInput(_) => CallOutcome::NoInput,
        }
    }
}

/// Why the IAM gave no token.
pub(super) struct NotGranted {
    /// Why.
    pub error: NoToken,
    /// How long it wishes to be left alone.
    pub pause: Option<Duration>,
}

impl From<NoToken> for NotGranted {
    fn from(error: NoToken) -> Self {
        Self { error, pause: None }
    }
}

/// Hands out tokens. The login is configured only when a token must be obtained: a valid file needs no IAM.
pub struct TokenKeeper {
    pub(super) config: Arc<CallConfig>,
    /// The token file.
    pub file: TokenFile,
    /// When tokens are renewed.
    pub policy: TokenPolicy,
    pub(super) credentials_directory: Option<PathBuf>,
    pub(super) force_login: bool,
    pub(super) transport: Arc<Transport>,
    pub(super) redactor: Arc<Redactor>,
    pub(super) clock: SharedClock,
    /// Tells once that our clock differs.
    pub(super) clock_watch: ClockWatch,
}

impl TokenKeeper {
    /// Where and as whom a token is obtained.
    ///
    /// # Errors
    /// What is missing or unsafe.
    pub fn login_settings(&self) -> Result<Login, NoToken> {
        Login::configured(&self.config, self.credentials_directory.as_deref())
    }

    /// Whether a token is good for a call now.
    pub(super) fn is_fresh(&self, token: &Token) -> bool {
        !token.needs_renewal(&self.policy, self.clock.now())
    }

    /// A token that is good for a call now: the one in the file, or a new one.
    pub async fn current(&self, deadline: Instant) -> Result<(Token, TokenSource), NoToken> {
        let found = match self.in_file()? {
            InFile::Bare(_) => self.adopted(deadline).await?,
            found => found,
        };
        match found {
            InFile::Ours(token) if self.is_fresh(&token) => Ok((token, TokenSource::File)),
            InFile::Ours(token) if token.is_expired(&self.policy, self.clock.now()) => {
                info!(event = "token_expired", "Token expired, refreshing token...");
                self.renew(None, deadline).await
            }
            InFile::Ours(token) => self.renew_early(token, deadline).await,
            InFile::Missing | InFile::Bare(_) => {
                info!(event = "token_missing", "Token file not found or empty, refreshing token...");
                self.renew(None, deadline).await
            }
            InFile::Foreign(difference) => {
                info!(
                    event = "token_of_another",
                    "The token is for another use, refreshing token: {difference}"
                );
                self.renew(None, deadline).await.map_err(|error| error.instead_of(&difference))
            }
        }
    }

    /// Another token than the one that the server just rejected: a newer one from the file, or a new one.
    pub async fn other_than(
        &self,
        rejected: &Token,
        deadline: Instant,
    ) -> Result<(Token, TokenSource), NoToken> {
        if let Some(token) = self.usable(Some(rejected))? {
            return Ok((token, TokenSource::File));
        }
        self.renew(Some(rejected), deadline).await
    }

    /// A new token, whatever the file holds.
    pub async fn refresh(&self, deadline: Instant) -> Result<Token, NoToken> {
        let _lock = self.lock(deadline).await?;
        self.login(deadline).await
    }

    /// The token is near its end but still good: a refresh that fails is no reason not to use it.
    async fn renew_early(&self, token: Token, deadline: Instant) -> Result<(Token, TokenSource), NoToken> {
        info!(event = "token_expiring", "Token expires soon, refreshing token...");
        match self.renew(None, deadline).await {
            Err(error) if !token.is_expired(&self.policy, self.clock.now()) => {
                warn!(event = "early_refresh_failed", error = %error, "Early refresh failed, the current token is still valid");
                Ok((token, TokenSource::File))
            }
            renewed => renewed,
        }
    }

    /// Takes the lock, looks again whether somebody else has renewed meanwhile, and only then logs in.
    async fn renew(
        &self,
        rejected: Option<&Token>,
        deadline: Instant,
    ) -> Result<(Token, TokenSource), NoToken> {
        let _lock = self.lock(deadline).await?;
        if let Some(token) = self.usable(rejected)? {
            return Ok((token, TokenSource::File));
        }
        Ok((self.login(deadline).await?, TokenSource::Login))
    }

    /// The lock of the login, or `None` when it cannot exist (a read-only file system): then the login goes on
    /// without it. A waiter whose predecessor found the IAM unavailable shares that result.
    pub(super) async fn lock(&self, deadline: Instant) -> Result<Option<FileLock>, NoToken> {
        let since = self.clock.now();
        let began = Instant::now();
        let lock_deadline = deadline.min(began + self.config.token.lock_wait);
        if let Err(error) = self.file.create_directory() {
            warn!(event = "token_not_kept", error = %error, "The directory of the token file cannot be created");
            return Ok(None);
        }
        match FileLock::take_before(&self.file.lock_path(), lock_deadline).await {
            Ok(Some(lock)) => match LoginMemory::read(&self.file.memory_path(), self.clock.now()).unavailable
            {
                Some(seen) if seen.at > since && self.usable(None)?.is_none() => {
                    Err(NoToken::Unavailable(seen.reason))
                }
                _ => Ok(Some(lock)),
            },
            Ok(None) => {
                let waited = duration::show(lock_deadline.saturating_duration_since(began));
                Err(NoToken::Unavailable(format!(
                    "another process has been logging in for more than {waited}"
                )))
            }
            Err(error) => {
                warn!(event = "token_not_locked", error = %error, "The token's lock file cannot be used");
                Ok(None)
            }
        }
    }

    /// The token in the file, if it is good for a call and not the one that was just rejected.
    fn usable(&self, rejected: Option<&Token>) -> Result<Option<Token>, NoToken> {
        let InFile::Ours(token) = self.in_file()? else { return Ok(None) };
        let differs = rejected.is_none_or(|old| old.secret != token.secret);
        Ok(Some(token).filter(|token| differs && self.is_fresh(token)))
    }

    /// Logs in, unless this very credential was rejected before; keeps the token, or the memory of the failure.
    pub(super) async fn login(&self, deadline: Instant) -> Result<Token, NoToken> {
        let login = self.login_settings()?;
        self.redactor.add(&login.secret);
        let (path, now) = (self.file.memory_path(), self.clock.now());
        let mut memory = LoginMemory::read(&path, now);
        if let Some(held) = memory.forbids(&login, now).filter(|_| !self.force_login) {
            let held = held.not_tried_again();
            self.remember(&memory);
            return Err(NoToken::Rejected(held));
        }
        let left_alone = memory.unavailable.as_ref().and_then(|seen| seen.left_alone(&login, now));
        if let Some(reason) = left_alone.filter(|_| !self.force_login) {
            return Err(NoToken::Unavailable(reason));
        }
        let result = self.ask(&login, deadline).await;
        match &result {
            Ok(token) => {
                self.redactor.add(&token.secret);
                self.keep(token, &login);
                memory.accept(&login);
            }
            Err(NotGranted { error: NoToken::Rejected(reason), .. }) => {
                memory.reject(&login, reason.clone(), self.clock.now());
            }
            Err(NotGranted { error, pause }) => {
                let reason = match error {
                    NoToken::Unavailable(reason) => reason.clone(),
                    other => other.to_string(),
                };
                memory.unavailable = Some(Unavailable::new(&login, reason, self.clock.now(), *pause));
            }
        }
        self.remember(&memory);
        result.map_err(|failed| failed.error)
    }

    fn remember(&self, memory: &LoginMemory) {
        if let Err(error) = memory.write(&self.file.memory_path()) {
            let risk =
                "a credential that the IAM refuses is tried again by every call, until the account is locked";
            warn!(event = "login_memory_lost", error = %error, "The result of the login cannot be remembered: {risk}");
        }
    }

    /// Writes the token for the other processes; one that cannot be written is still good for this call.
    fn keep(&self, token: &Token, login: &Login) {
        let written = self
            .identity()
            .map_err(io::Error::other)
            .and_then(|identity| self.file.write(token, &identity, login));
        if let Err(error) = written {
            warn!(event = "token_not_kept", error = %error, "The token cannot be written; it is used by this call alone");
        }
    }
}
