//! Asking the IAM for a token, as often as the policy allows.

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::iam::{self, Login, LoginReply};
use super::keeper::{NoToken, NotGranted, TokenKeeper};
use super::reply::Reply;
use super::retry;
use super::token::Token;
use super::transport::Nature;
use crate::domain::duration;
use crate::domain::retry::{FailureClass, Verdict};

impl TokenKeeper {
    /// Asks the IAM, and again while it cannot answer and the policy allows.
    pub(super) async fn ask(&self, login: &Login, deadline: Instant) -> Result<Token, NotGranted> {
        let retry = retry::of_login(&self.config.call);
        let mut attempt = 1;
        loop {
            let login_deadline = deadline.min(Instant::now() + self.config.iam.timeout);
            let sent_at = self.clock.now();
            let (class, retry_after, reason) = match self
                .transport
                .send(login.request(), login_deadline)
                .await
            {
                Ok(reply) => match self.read(&reply, sent_at) {
                    LoginReply::Granted(token) => {
                        info!(event = "token_refreshed", expires_at = %token.ends_at(&self.policy), "Token refreshed successfully");
                        return Ok(token);
                    }
                    LoginReply::Rejected(reason) => {
                        return Err(NoToken::Rejected(self.redactor.clean(&reason).into_owned()).into());
                    }
                    LoginReply::Protocol(reason) => {
                        return Err(NoToken::Protocol(self.redactor.clean(&reason).into_owned()).into());
                    }
                    LoginReply::Unavailable(reason) => (
                        FailureClass::Refused,
                        reply.retry_after(self.clock.now()),
                        format!("IAM answered {reason}"),
                    ),
                },
                Err(failure) => {
                    let reason = self.redactor.clean(&format!("IAM not reached, {failure}")).into_owned();
                    match failure.nature() {
                        Nature::Setting => return Err(NoToken::Misconfigured(reason).into()),
                        Nature::Protocol => return Err(NoToken::Protocol(reason).into()),
                        Nature::NeverSent | Nature::Unanswered => (FailureClass::Unanswered, None, reason),
                    }
                }
            };
            let reason = self.redactor.clean(&reason).into_owned();
            let remaining = deadline.saturating_duration_since(Instant::now());
            match retry.decide(attempt, class, retry_after, remaining, fastrand::f64()) {
                Verdict::RetryAfter(wait) => {
                    let wait_ms = duration::millis(wait);
                    warn!(event = "login_retry", attempt, wait_ms, reason, "Login failed, trying again");
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                Verdict::Stop | Verdict::OutOfTime => {
                    return Err(NotGranted { error: NoToken::Unavailable(reason), pause: retry_after });
                }
            }
        }
    }

    fn read(&self, reply: &Reply, sent_at: Timestamp) -> LoginReply {
        let now = self.clock.now();
        self.clock_watch.compare("IAM", reply, sent_at, now);
        iam::read(reply, &self.config.call.success_codes, now)
    }
}
