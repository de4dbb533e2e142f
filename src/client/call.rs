//! One call from beginning to end: token, request, a rejected token replaced once, retries, outcome.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::keeper::{TokenError, TokenKeeper, TokenSource};
use super::outcome::{CallOutcome, Judgement, judge, judge_failure};
use super::reply::Reply;
use super::token::Token;
use super::transport::{Outgoing, Transport};
use crate::clock::SharedClock;
use crate::domain::duration::millis;
use crate::domain::id::ExecutionId;
use crate::domain::retry::{RetryPolicy, Verdict};
use crate::secret::{Redactor, Secret};

/// What is called.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Whole address.
    pub url: Url,
    /// Further headers; they win over the ones made here, except `Authorization`.
    pub headers: HeaderMap,
    /// JSON body; none for methods without one.
    pub body: Option<Bytes>,
    /// Run id: request id and idempotency key of every attempt.
    pub run_id: ExecutionId,
    /// Trace context.
    pub traceparent: String,
}

/// How a call is judged and repeated.
#[derive(Clone, Debug)]
pub struct CallPolicy {
    /// Deadline of one attempt.
    pub attempt_timeout: Duration,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// Envelope codes that mean success.
    pub success_codes: Vec<i64>,
}

/// What a call came to, and how.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// The outcome.
    pub outcome: CallOutcome,
    /// Status of the last response.
    pub http_status: Option<u16>,
    /// Envelope code of the last response.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// Requests that were made to the endpoint.
    pub attempts: u32,
    /// Where the last token came from.
    pub token_source: Option<TokenSource>,
    /// Body of the last response, without secrets.
    pub body: Option<String>,
    /// Where the last response points to.
    pub location: Option<String>,
}

/// Makes calls.
pub struct Caller<'a> {
    transport: &'a Transport,
    tokens: &'a TokenKeeper<'a>,
    clock: SharedClock,
}

impl<'a> Caller<'a> {
    /// A caller that sends through `transport` with the tokens of `tokens`.
    pub fn new(transport: &'a Transport, tokens: &'a TokenKeeper<'a>, clock: SharedClock) -> Self {
        Self { transport, tokens, clock }
    }

    /// Makes the call. `deadline` ends it, whatever is still allowed.
    pub async fn run(
        &self,
        request: &Request,
        policy: &CallPolicy,
        deadline: Instant,
        redactor: &mut Redactor,
    ) -> CallReport {
        let mut run = Run { caller: self, request, policy, deadline, attempts: 0, token_source: None };
        run.go(redactor).await
    }
}

/// The state of one call.
struct Run<'a> {
    caller: &'a Caller<'a>,
    request: &'a Request,
    policy: &'a CallPolicy,
    deadline: Instant,
    attempts: u32,
    token_source: Option<TokenSource>,
}

impl Run<'_> {
    async fn go(&mut self, redactor: &mut Redactor) -> CallReport {
        let mut token: Option<Token> = None;
        let (mut failures, mut replaced) = (0, false);
        loop {
            let current = match self.fresh(token.take(), redactor).await {
                Ok(current) => current,
                Err(error) => return self.without_token(&error, redactor),
            };
            let reply = self.attempt(&current).await;
            let (judgement, reply) = match reply {
                Ok(reply) => {
                    let repeatable = self.policy.retry.idempotent;
                    (judge(&reply, &self.policy.success_codes, repeatable), Some(reply))
                }
                Err(failure) => (judge_failure(&failure, self.policy.retry.idempotent), None),
            };
            if judgement.token_rejected && !replaced {
                replaced = true;
                warn!(
                    event = "token_rejected",
                    attempt = self.attempts,
                    "The server rejected the token, refreshing token..."
                );
                match self.caller.tokens.other_than(&current, self.deadline, redactor).await {
                    Ok((other, source)) => {
                        self.token_source = Some(source);
                        token = Some(other);
                        continue;
                    }
                    Err(error) => return self.without_token(&error, redactor),
                }
            }
            failures += 1;
            match self.wait_after(&judgement, reply.as_ref(), failures) {
                Some(wait) => {
                    let message = redactor.clean(&judgement.message).into_owned();
                    warn!(
                        event = "attempt_failed",
                        attempt = self.attempts,
                        wait_ms = millis(wait),
                        reason = message,
                        "Attempt failed, trying again"
                    );
                    tokio::time::sleep(wait).await;
                    token = Some(current);
                }
                None => return self.report(judgement, reply, redactor),
            }
        }
    }

    /// The token for the next attempt: the one at hand while it is fresh, otherwise the keeper's.
    async fn fresh(&mut self, at_hand: Option<Token>, redactor: &mut Redactor) -> Result<Token, TokenError> {
        let tokens = self.caller.tokens;
        if let Some(token) =
            at_hand.filter(|token| !token.needs_renewal(tokens.policy(), self.caller.clock.now()))
        {
            return Ok(token);
        }
        let (token, source) = tokens.current(self.deadline, redactor).await?;
        self.token_source = Some(source);
        Ok(token)
    }

    async fn attempt(&mut self, token: &Token) -> Result<Reply, super::transport::SendFailure> {
        self.attempts += 1;
        info!(event = "calling", attempt = self.attempts, "Calling API: {}", self.request.url);
        let outgoing = Outgoing {
            method: self.request.method.clone(),
            url: self.request.url.clone(),
            headers: headers(self.request, &token.secret),
            body: self.request.body.clone(),
        };
        let deadline = self.deadline.min(Instant::now() + self.policy.attempt_timeout);
        self.caller.transport.send(outgoing, deadline).await
    }

    /// How long to wait before the next attempt; `None` when there is none.
    fn wait_after(&self, judgement: &Judgement, reply: Option<&Reply>, failures: u32) -> Option<Duration> {
        let retry_after = reply.and_then(|reply| reply.retry_after(self.caller.clock.now()));
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        match self.policy.retry.decide(failures, judgement.class, retry_after, remaining, fastrand::f64()) {
            Verdict::RetryAfter(wait) => Some(wait),
            Verdict::Stop => None,
            Verdict::OutOfTime => {
                let reason = &judgement.message;
                info!(event = "out_of_time", reason, "No time is left for another attempt");
                None
            }
        }
    }

    fn without_token(&self, error: &TokenError, redactor: &Redactor) -> CallReport {
        CallReport {
            outcome: error.outcome(),
            http_status: None,
            code: None,
            message: redactor.clean(&error.to_string()).into_owned(),
            attempts: self.attempts,
            token_source: self.token_source,
            body: None,
            location: None,
        }
    }

    fn report(&self, judgement: Judgement, reply: Option<Reply>, redactor: &Redactor) -> CallReport {
        CallReport {
            outcome: judgement.outcome,
            http_status: reply.as_ref().map(|reply| reply.status),
            code: judgement.code.map(|code| redactor.clean(&code.to_string()).into_owned()),
            message: redactor.clean(&judgement.message).into_owned(),
            attempts: self.attempts,
            token_source: self.token_source,
            body: reply
                .as_ref()
                .filter(|reply| !reply.body.is_empty())
                .map(|reply| redactor.clean(&reply.text()).into_owned()),
            location: reply.and_then(|reply| reply.location),
        }
    }
}

/// The headers of an attempt; the same run id in every one, so that a repeat is known for a repeat.
fn headers(request: &Request, token: &Secret) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if request.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let run_id = request.run_id.to_string();
    // The draft's value is a structured-field string, hence the quotes.
    for (name, text) in [
        ("idempotency-key", format!("\"{run_id}\"")),
        ("x-request-id", run_id),
        ("traceparent", request.traceparent.clone()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for (name, value) in &request.headers {
        headers.insert(name, value.clone());
    }
    // A token is ASCII without control characters, checked where it is read.
    if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers
}
