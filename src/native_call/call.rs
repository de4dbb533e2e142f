//! The call itself: under the lock of its task, beside its monitor, until it is over or stopped. The request and its
//! outcome are `client`'s, what is written down is `journal`'s.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::ended::{Ended, StoppedBy};
use super::monitor::Monitor;
use super::reply_file::Place;
use super::settings::Settings;
use crate::client::{Client, Request, RequestError};
use crate::clock::SharedClock;
use crate::config::call;
use crate::crontab::CallIdentity;
use crate::crontab::invocation::Invocation;
use crate::domain::outcome::{CallOutcome, CallReport};
use crate::domain::overlap::Overlap;
use crate::journal::overlap::Claim;
use crate::journal::record::RunEntry;
use crate::journal::{CannotCreate, ExecutionInfo, Journal};

/// How long the final ping of a call that was stopped may take: the process must be gone within a second.
const LAST_PING: Duration = Duration::from_millis(500);

/// A call whose journal is open.
pub struct NativeCall {
    /// What is written down of it.
    pub journal: Journal,
    /// The settings of its task.
    pub settings: Box<Settings>,
    client: Client,
    request: Result<Request, Unmade>,
    reply: Place,
}

/// What a call comes to that cannot be made, and is recorded all the same.
#[derive(Clone, Debug)]
pub struct Unmade(Box<CallReport>);

impl From<RequestError> for Unmade {
    fn from(error: RequestError) -> Self {
        Self(Box::new(CallReport::without_reply(error.outcome(), error.to_string())))
    }
}

impl NativeCall {
    /// Opens the journal of a call. `reply` is the place of `--output`, or why there is none.
    ///
    /// # Errors
    /// The place of the journal that cannot be created: a call that could not be recorded is not made.
    pub fn open(
        execution: ExecutionInfo,
        settings: Box<Settings>,
        client: Client,
        request: Result<Request, RequestError>,
        reply: Result<Place, String>,
        clock: SharedClock,
    ) -> Result<Self, CannotCreate> {
        let journal = Journal::open(execution, settings.journal(), clock)?;
        let (reply, no_place) = match reply {
            Ok(reply) => (reply, None),
            Err(reason) => (None, Some(reason)),
        };
        let request = request.map_err(Unmade::from).and_then(|request| match no_place {
            None => Ok(request),
            Some(reason) => {
                let report = CallReport::without_reply(CallOutcome::CannotCreate, reason);
                Err(Unmade(Box::new(report)))
            }
        });
        Ok(Self { journal, settings, client, request, reply })
    }

    /// Whether a request can be made at all.
    pub fn can_be_made(&self) -> bool {
        self.request.is_ok()
    }

    /// Whether its request may be repeated without harm.
    pub fn is_idempotent(&self) -> bool {
        let declared = self.settings.config().call.idempotent;
        declared || self.request.as_ref().is_ok_and(|request| request.method.is_idempotent())
    }

    /// What the call comes to if it cannot be made. To be called in the run's span, before the lock is asked for.
    pub fn unmade(&self) -> Option<Ended> {
        let Settings { files, log_path, state_dir, unseen, .. } = &*self.settings;
        debug!(?files, log = %log_path.display(), state = %state_dir.display(), "Settings read");
        if let Some(reason) = unseen {
            warn!(event = "configuration_unseen", reason, "The system's configuration cannot be seen");
        }
        self.request.as_ref().err().map(|Unmade(report)| Ended::unheard(CallReport::clone(report)))
    }

    /// Makes the call as far as `claim`, asked for by this policy, lets it, until `deadline`; it counts from `began`. The
    /// monitor hears of the begin beside it, so that a slow one costs no time. To be polled in the run's span.
    pub async fn make(
        &self,
        (policy, claim): (Overlap, io::Result<Claim>),
        began: Instant,
        deadline: Instant,
    ) -> Ended {
        let config = self.settings.config();
        let mut ended = match (&self.request, claim) {
            (Err(Unmade(report)), _) => Ended::unheard(CallReport::clone(report)),
            (Ok(request), Ok(Claim::Mine(lock))) => {
                let mut monitor = Monitor::of(&self.client, &config.ping, &self.journal).await;
                if let Some(monitor) = &mut monitor {
                    monitor.start();
                }
                let report = self.client.perform(request, deadline).await;
                drop(lock);
                Ended { report, monitor, last_ping: None }
            }
            (_, Ok(Claim::Busy(who))) => {
                let identity = &self.journal.execution.identity;
                Ended::unheard(Claim::busy(policy, identity, who.as_ref()))
            }
            (_, Err(error)) => {
                Ended::unheard(CallReport::without_reply(CallOutcome::Io, format!("overlap lock: {error}")))
            }
        };
        ended.report.duration = began.elapsed();
        ended
    }

    /// What `made` comes to, unless `stop` ends it first: then nothing of the call leaves any more. To be polled in the
    /// run's span.
    pub async fn unless(
        &self,
        stop: impl Future<Output = StoppedBy>,
        made: Pin<&mut impl Future<Output = Ended>>,
    ) -> Ended {
        let began = Instant::now();
        tokio::select! {
            ended = made => ended,
            by = stop => {
                let has_left = self.request.as_ref().is_ok_and(|request| request.departure.bar());
                let report = CallReport { duration: began.elapsed(), ..by.report(has_left) };
                let monitor = Monitor::of(&self.client, &self.settings.config().ping, &self.journal).await;
                Ended { report, monitor, last_ping: Some(LAST_PING) }
            }
        }
    }

    /// Whether the reply goes into a file.
    pub fn keeps_reply(&self) -> bool {
        self.reply.is_some()
    }

    /// Writes everything that the call leaves behind: the last line of its log, its record, its metrics, its reply. To be
    /// called in the run's span. Returns the run as its record has it, and what could not be written.
    pub fn leave_behind(self, report: &CallReport) -> (RunEntry, Vec<String>) {
        let (entry, mut trouble) = self.journal.leave_behind(report);
        if let Some((path, file)) = self.reply {
            trouble.extend(file.write(&path, report).err());
        }
        (entry, trouble)
    }
}

/// What tells this line from another one that has the same task name.
pub fn identity(invocation: &Invocation, config: &call::CallConfig) -> CallIdentity {
    let iam = &config.iam;
    let tenant = iam.tenant_id.map(|tenant| tenant.to_string());
    let known = [("tenant", &tenant), ("username", &iam.username), ("client", &iam.client_id)];
    let account: Vec<(&str, &str)> =
        known.into_iter().filter_map(|(what, value)| Some((what, value.as_deref()?))).collect();
    invocation.identity(&config.api.base_url.0, &account)
}
