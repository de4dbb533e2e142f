//! One call from beginning to end: token, request, a rejected token replaced once, retries, outcome.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::clock_difference::ClockWatch;
use super::judge::{Judgement, Rules, judge};
use super::keeper::TokenKeeper;
use super::reply::Reply;
use super::request::{Request, RequestError};
use super::retry;
use super::token::TokenPolicy;
use super::token_file::TokenFile;
use super::transport::{Transport, TransportOptions};
use crate::clock::SharedClock;
use crate::config::call::CallConfig;
use crate::crontab::invocation::Invocation;
use crate::domain::duration::millis;
use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::{CallOutcome, CallReport, Received};
use crate::domain::retry::Verdict;
use crate::secret::Redactor;

/// Behind the refusal of a call that carried none.
const NO_CREDENTIAL: &str =
    " (hint: the call carried no credential; leave out --no-auth or call.no_auth if the server wants one)";

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The settings in force.
    pub config: CallConfig,
    /// How connections are made.
    pub transport: TransportOptions,
    /// The token file.
    pub token_file: PathBuf,
    /// Log in although the last login was rejected.
    pub force_login: bool,
}

/// Makes calls, any number of them at once. A clone is the same client.
#[derive(Clone)]
pub struct Client {
    pub(super) config: Arc<CallConfig>,
    /// What connects.
    pub transport: Arc<Transport>,
    /// What keeps the token.
    pub tokens: Arc<TokenKeeper>,
    redactor: Arc<Redactor>,
    clock: SharedClock,
}

impl Client {
    /// A client with these settings. Nothing is opened before the first call.
    pub fn new(settings: ClientSettings, clock: SharedClock) -> Self {
        let transport = Arc::new(Transport::new(settings.transport.clone()));
        Self::over(transport, settings, clock)
    }

    /// A client with these settings over connections that others use too; `settings.transport` says how they are made.
    pub fn over(transport: Arc<Transport>, settings: ClientSettings, clock: SharedClock) -> Self {
        let config = Arc::new(settings.config);
        // A server may repeat even a secret that it was not sent.
        let configured = [&config.iam.password, &config.iam.client_secret, &config.ping.url];
        let redactor = Arc::new(Redactor::new(configured.into_iter().flatten().map(|secret| &secret.0)));
        let credentials_directory = settings.transport.credentials_directory;
        let token = &config.token;
        let tokens = Arc::new(TokenKeeper {
            config: Arc::clone(&config),
            file: TokenFile::new(settings.token_file, token.allow_insecure_permissions),
            policy: TokenPolicy { skew: token.skew, max_age: token.max_age },
            credentials_directory,
            force_login: settings.force_login,
            transport: Arc::clone(&transport),
            redactor: Arc::clone(&redactor),
            clock: clock.clone(),
            clock_watch: ClockWatch::default(),
        });
        Self { config, transport, tokens, redactor, clock }
    }

    /// The request that `invocation` describes; `parent` is the `traceparent` that it continues.
    ///
    /// # Errors
    /// What is wrong with the line, the configured address, or the file of the body.
    pub fn request(
        &self,
        invocation: &Invocation,
        run_id: ExecutionId,
        parent: Option<&str>,
    ) -> Result<Request, RequestError> {
        Request::new(invocation, &self.config, run_id, parent)
    }

    /// Makes the call: tokens and attempts, and the wait for an accepted one. `deadline` ends it, whatever is still
    /// allowed.
    pub async fn perform(&self, request: &Request, deadline: Instant) -> CallReport {
        let began = Instant::now();
        // A wrong certificate file or proxy is found before a login is wasted on it.
        if let Err(error) = self.transport.client(&request.url).await {
            return CallReport::without_reply(error.outcome(), error.to_string());
        }
        let mut report = self.send(request, Rules::of_call(&self.config.call), deadline).await;
        if request.wait && report.outcome == CallOutcome::Accepted {
            report = self.follow(report, request, deadline).await;
        }
        CallReport { duration: began.elapsed(), ..report }
    }

    /// Sends until the answer stands: a rejected token is replaced once, a failure repeated as the policy allows.
    pub(super) async fn send(&self, request: &Request, rules: Rules<'_>, deadline: Instant) -> CallReport {
        let call = &self.config.call;
        let retry = retry::of_call(call, &request.method);
        let mut report = CallReport::without_reply(CallOutcome::Unknown, "");
        let (mut held, mut rejected) = (None, None);
        let (mut failures, mut replaced) = (0, false);
        loop {
            let token = match (rejected.take(), held.take()) {
                _ if call.no_auth => Ok(None),
                (Some(rejected), _) => self.tokens.other_than(&rejected, deadline).await.map(Some),
                (None, Some((token, source))) if self.tokens.is_fresh(&token) => Ok(Some((token, source))),
                _ => self.tokens.current(deadline).await.map(Some),
            };
            let token = match token {
                Ok(token) => token,
                Err(error) => {
                    let message = self.redactor.clean(&error.to_string()).into_owned();
                    return CallReport { outcome: error.outcome(), message, ..report };
                }
            };
            report.token_source = token.as_ref().map(|(_, source)| *source);
            report.attempts += 1;
            info!(
                event = "calling",
                attempt = report.attempts,
                "Calling API: {}",
                self.redactor.clean(request.url.as_str())
            );
            let attempt_deadline = deadline.min(Instant::now() + call.attempt_timeout);
            let sent_at = self.clock.now();
            let secret = token.as_ref().map(|(token, _)| &token.secret);
            let answer = self.transport.send(request.outgoing(secret), attempt_deadline).await;
            if let Ok(reply) = &answer {
                self.tokens.clock_watch.compare("API", reply, sent_at, self.clock.now());
            }
            let mut judgement = judge(&answer, rules, retry.idempotent);
            if judgement.outcome == CallOutcome::Unauthenticated && token.is_none() {
                judgement.message += NO_CREDENTIAL;
            }
            if judgement.token_rejected
                && !replaced
                && let Some((token, _)) = token
            {
                let attempt = report.attempts;
                warn!(
                    event = "token_rejected",
                    attempt, "The server rejected the token, refreshing token..."
                );
                replaced = true;
                rejected = Some(token);
                continue;
            }
            failures += 1;
            let retry_after = answer.as_ref().ok().and_then(|reply| reply.retry_after(self.clock.now()));
            let remaining = deadline.saturating_duration_since(Instant::now());
            let reason = || self.redactor.clean(&judgement.message).into_owned();
            match retry.decide(failures, judgement.class, retry_after, remaining, fastrand::f64()) {
                Verdict::RetryAfter(wait) => {
                    let (attempt, wait_ms, reason) = (report.attempts, millis(wait), reason());
                    warn!(event = "attempt_failed", attempt, wait_ms, reason, "Attempt failed, trying again");
                    tokio::time::sleep(wait).await;
                    held = token;
                }
                verdict => {
                    if verdict == Verdict::OutOfTime {
                        info!(
                            event = "out_of_time",
                            reason = reason(),
                            "No time is left for another attempt"
                        );
                    }
                    let answer = self.report(&report, judgement, answer.ok(), request);
                    return CallReport { retry_after, ..answer };
                }
            }
        }
    }

    /// What the last attempt came to, without secrets.
    fn report(
        &self,
        so_far: &CallReport,
        mut judgement: Judgement,
        reply: Option<Reply>,
        request: &Request,
    ) -> CallReport {
        let clean = |text: &str| self.redactor.clean(text).into_owned();
        // A proxy may answer in the server's place, and its answer looks like the server's.
        if let (Some(_), Some(proxy)) = (&reply, self.transport.proxy(&request.url))
            && judgement.outcome.exit() != Exit::Ok
        {
            judgement.message = format!("{} (through the proxy {proxy})", judgement.message);
        }
        CallReport {
            http_status: reply.as_ref().map(|reply| reply.status),
            code: judgement.code.as_ref().map(|code| clean(&code.to_string())),
            body: reply.as_ref().filter(|reply| !reply.body.is_empty()).map(|reply| clean(&reply.text())),
            location: reply.as_ref().and_then(|reply| reply.location.clone()),
            received: reply
                .filter(|_| request.keeps_reply)
                .map(|reply| Received(reply.as_sent.unwrap_or(reply.body))),
            attempts: so_far.attempts,
            token_source: so_far.token_source,
            ..CallReport::without_reply(judgement.outcome, clean(&judgement.message))
        }
    }
}
