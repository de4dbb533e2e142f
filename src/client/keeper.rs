//! The keeper of the token: hands out a fresh one with as few logins as there can be, among any number of processes.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::iam::{self, Login, LoginReply};
use super::login_memory::{LoginMemory, Unavailable};
use super::outcome::CallOutcome;
use super::token::{Token, TokenPolicy};
use super::token_file::{InsecureToken, Stored, TokenFile};
use super::transport::Transport;
use crate::clock::SharedClock;
use crate::domain::retry::{FailureClass, RetryPolicy, Verdict};
use crate::files::{self, FileLock};
use crate::secret::Redactor;

/// Where a token came from in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The token file.
    File,
    /// A login by this process.
    Login,
}

impl TokenSource {
    /// The word in logs and `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenSource::File => "file",
            TokenSource::Login => "login",
        }
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Others can read the token file.
    Insecure(InsecureToken),
    /// The IAM does not accept the credential, now or at the last login.
    Rejected(String),
    /// The IAM cannot be asked, or another process has been logging in for too long.
    Unavailable(String),
    /// The IAM's reply is no answer to a login.
    Protocol(String),
    /// The login is not configured, or not safely.
    Misconfigured(String),
    /// A credential file is missing.
    NoInput(String),
}

impl TokenError {
    /// What a call without a token comes to.
    pub fn outcome(&self) -> CallOutcome {
        match self {
            TokenError::Insecure(_) | TokenError::Misconfigured(_) => CallOutcome::Misconfigured,
            TokenError::Rejected(_) => CallOutcome::Unauthenticated,
            TokenError::Unavailable(_) => CallOutcome::TryLater,
            TokenError::Protocol(_) => CallOutcome::Protocol,
            TokenError::NoInput(_) => CallOutcome::NoInput,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Insecure(insecure) => insecure.fmt(f),
            TokenError::Rejected(reason) => write!(f, "login rejected: {reason}"),
            TokenError::Unavailable(reason) => write!(f, "no token: {reason}"),
            TokenError::Protocol(reason) => write!(f, "login failed: {reason}"),
            TokenError::Misconfigured(reason) | TokenError::NoInput(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for TokenError {}

/// How the keeper works.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// When a token is renewed.
    pub policy: TokenPolicy,
    /// How long to wait for another process's login.
    pub lock_wait: Duration,
    /// Deadline of one login request.
    pub login_timeout: Duration,
    /// How a login that the IAM could not answer is repeated.
    pub retry: RetryPolicy,
    /// Log in although the last login was rejected.
    pub force_login: bool,
}

/// Hands out tokens. The login is configured only when a token must be obtained: a valid file needs no IAM.
pub struct TokenKeeper<'a> {
    file: TokenFile,
    login: Box<dyn Fn() -> Result<Login, TokenError> + Send + Sync + 'a>,
    options: KeeperOptions,
    transport: &'a Transport,
    clock: SharedClock,
}

impl<'a> TokenKeeper<'a> {
    /// A keeper of the token in `file`.
    pub fn new(
        file: TokenFile,
        login: impl Fn() -> Result<Login, TokenError> + Send + Sync + 'a,
        options: KeeperOptions,
        transport: &'a Transport,
        clock: SharedClock,
    ) -> Self {
        Self { file, login: Box::new(login), options, transport, clock }
    }

    /// When tokens are renewed.
    pub fn policy(&self) -> &TokenPolicy {
        &self.options.policy
    }

    /// A token that is good for a call now: the one in the file, or a new one.
    pub async fn current(
        &self,
        deadline: Instant,
        redactor: &mut Redactor,
    ) -> Result<(Token, TokenSource), TokenError> {
        let stored = self.stored(redactor)?;
        match stored {
            Some(token) if !token.needs_renewal(self.policy(), self.clock.now()) => {
                Ok((token, TokenSource::File))
            }
            Some(token) if token.is_expired(self.policy(), self.clock.now()) => {
                info!(event = "token_expired", "Token expired, refreshing token...");
                self.renew(None, deadline, redactor).await
            }
            Some(token) => self.renew_early(token, deadline, redactor).await,
            None => {
                info!(event = "token_missing", "Token file not found or empty, refreshing token...");
                self.renew(None, deadline, redactor).await
            }
        }
    }

    /// Another token than the one that the server just rejected: a newer one from the file, or a new one.
    pub async fn other_than(
        &self,
        rejected: &Token,
        deadline: Instant,
        redactor: &mut Redactor,
    ) -> Result<(Token, TokenSource), TokenError> {
        if let Some(token) = self.usable(Some(rejected), redactor)? {
            return Ok((token, TokenSource::File));
        }
        self.renew(Some(rejected), deadline, redactor).await
    }

    /// A new token, whatever the file holds.
    pub async fn refresh(&self, deadline: Instant, redactor: &mut Redactor) -> Result<Token, TokenError> {
        let _lock = self.lock(deadline, self.clock.now(), redactor).await?;
        self.login(deadline, redactor).await
    }

    /// The token is near its end but still good: a refresh that fails is no reason not to use it.
    async fn renew_early(
        &self,
        token: Token,
        deadline: Instant,
        redactor: &mut Redactor,
    ) -> Result<(Token, TokenSource), TokenError> {
        info!(event = "token_expiring", "Token expires soon, refreshing token...");
        match self.renew(None, deadline, redactor).await {
            Err(error) if !token.is_expired(self.policy(), self.clock.now()) => {
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
        redactor: &mut Redactor,
    ) -> Result<(Token, TokenSource), TokenError> {
        let lock = self.lock(deadline, self.clock.now(), redactor).await?;
        if let Some(token) = self.usable(rejected, redactor)? {
            return Ok((token, TokenSource::File));
        }
        let token = self.login(deadline, redactor).await?;
        drop(lock);
        Ok((token, TokenSource::Login))
    }

    /// The lock of the login, or `None` when it cannot exist (a read-only file system): then the login goes on
    /// without it. A waiter whose predecessor found the IAM unavailable shares that result.
    async fn lock(
        &self,
        deadline: Instant,
        since: Timestamp,
        redactor: &mut Redactor,
    ) -> Result<Option<FileLock>, TokenError> {
        let patience = deadline.min(Instant::now() + self.options.lock_wait);
        if let Err(error) = files::create_dir(files::parent(self.file.path()), 0o700) {
            warn!(event = "token_not_kept", error = %error, "The directory of the token file cannot be created");
            return Ok(None);
        }
        match FileLock::take_before(&self.file.lock_path(), patience).await {
            Ok(Some(lock)) => match LoginMemory::read(&self.file.memory_path()).unavailable {
                Some(seen) if seen.at > since && self.usable(None, redactor)?.is_none() => {
                    Err(TokenError::Unavailable(seen.reason))
                }
                _ => Ok(Some(lock)),
            },
            Ok(None) => {
                let waited = crate::domain::duration::show(self.options.lock_wait);
                Err(TokenError::Unavailable(format!(
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
    fn usable(&self, rejected: Option<&Token>, redactor: &mut Redactor) -> Result<Option<Token>, TokenError> {
        let now = self.clock.now();
        Ok(self.stored(redactor)?.filter(|token| {
            !token.needs_renewal(self.policy(), now) && rejected.is_none_or(|old| old.secret != token.secret)
        }))
    }

    fn stored(&self, redactor: &mut Redactor) -> Result<Option<Token>, TokenError> {
        match self.file.read().map_err(TokenError::Insecure)? {
            Stored::Token(token) => {
                redactor.add(&token.secret);
                debug!(path = %self.file.path().display(), ends_at = %token.ends_at(self.policy()), "Token file read");
                Ok(Some(token))
            }
            Stored::Missing => Ok(None),
            Stored::Broken(reason) => {
                warn!(event = "token_broken", path = %self.file.path().display(), "Token file is not usable: {reason}");
                Ok(None)
            }
        }
    }

    /// Logs in, unless this very credential was rejected before; keeps the token, or the memory of the failure.
    async fn login(&self, deadline: Instant, redactor: &mut Redactor) -> Result<Token, TokenError> {
        let login = (self.login)()?;
        redactor.add(&login.secret);
        let mut memory = LoginMemory::read(&self.file.memory_path());
        if let Some(last) =
            memory.forbids(&login.identity(), self.clock.now()).filter(|_| !self.options.force_login)
        {
            return Err(TokenError::Rejected(format!(
                "{}; not tried again before {} or until the credential changes (hint: --force-login)",
                last.reason,
                last.until.strftime("%Y-%m-%dT%H:%M:%SZ")
            )));
        }
        let result = self.ask(&login, deadline, redactor).await;
        match &result {
            Ok(token) => {
                redactor.add(&token.secret);
                self.keep(token, &login);
                memory = LoginMemory::default();
            }
            Err(TokenError::Rejected(reason)) => {
                let salt = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
                memory.reject(&login.identity(), reason.clone(), self.clock.now(), salt);
            }
            Err(error) => {
                memory.unavailable = Some(Unavailable { at: self.clock.now(), reason: error.to_string() });
            }
        }
        if let Err(error) = memory.write(&self.file.memory_path()) {
            warn!(event = "login_memory_lost", error = %error, "The result of the login cannot be remembered");
        }
        result
    }

    /// Asks the IAM, and again while it cannot answer and the policy allows.
    async fn ask(&self, login: &Login, deadline: Instant, redactor: &Redactor) -> Result<Token, TokenError> {
        let mut attempt = 1;
        loop {
            let patience = deadline.min(Instant::now() + self.options.login_timeout);
            let (class, retry_after, reason) = match self.transport.send(login.request(), patience).await {
                Ok(reply) => match iam::read(&reply, self.clock.now()) {
                    LoginReply::Granted(token) => {
                        info!(event = "token_refreshed", expires_at = %token.ends_at(self.policy()), "Token refreshed successfully");
                        return Ok(token);
                    }
                    LoginReply::Rejected(reason) => {
                        return Err(TokenError::Rejected(redactor.clean(&reason).into_owned()));
                    }
                    LoginReply::Protocol(reason) => {
                        return Err(TokenError::Protocol(redactor.clean(&reason).into_owned()));
                    }
                    LoginReply::Unavailable(reason) => (
                        FailureClass::Refused,
                        reply.retry_after(self.clock.now()),
                        format!("IAM answered {reason}"),
                    ),
                },
                Err(failure) => (FailureClass::Unanswered, None, format!("IAM not reached, {failure}")),
            };
            let reason = redactor.clean(&reason).into_owned();
            let remaining = deadline.saturating_duration_since(Instant::now());
            match self.options.retry.decide(attempt, class, retry_after, remaining, fastrand::f64()) {
                Verdict::RetryAfter(wait) => {
                    let wait_ms = crate::domain::duration::millis(wait);
                    warn!(event = "login_retry", attempt, wait_ms, reason, "Login failed, trying again");
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                Verdict::Stop | Verdict::OutOfTime => return Err(TokenError::Unavailable(reason)),
            }
        }
    }

    /// Writes the token for the other processes; one that cannot be written is still good for this call.
    fn keep(&self, token: &Token, login: &Login) {
        if let Err(error) = self.file.write(token, login.url.as_str()) {
            warn!(event = "token_not_kept", error = %error, "The token cannot be written; it is used by this call alone");
        }
    }
}
