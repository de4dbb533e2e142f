//! A target as the command line would read it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;

use super::target::EndpointTarget;
use crate::clock::SharedClock;
use crate::config::Env;
use crate::crontab::call_line::{CallLine, Common};
use crate::crontab::invocation::{Invocation, check_task_name};
use crate::crontab::usage::sentence;
use crate::domain::exit::Exit;
use crate::domain::failure::Failure;
use crate::domain::id::ExecutionId;
use crate::domain::outcome::CallOutcome;
use crate::domain::overlap::Overlap;
use crate::native_call::settings::Settings;

/// Most lines that are kept as they were read; to read one takes longer than to make a connection.
const MOST: usize = 4096;

/// Lines as they were read, by the text of their target.
pub(super) struct Lines {
    env: Env,
    read: Mutex<HashMap<Arc<str>, Arc<Line>>>,
}

impl Lines {
    pub(super) fn new(env: Env) -> Self {
        Self { env, read: Mutex::default() }
    }

    /// The line of a target's text.
    ///
    /// # Errors
    /// It is no line that can be called.
    pub(super) fn of(&self, text: &Arc<str>) -> Result<Arc<Line>, Failure> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = read.get(text) {
            return Ok(Arc::clone(line));
        }
        let target: EndpointTarget = serde_json::from_str(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("the target is no call of a line: {error}"))
        })?;
        let line = Arc::new(self.read(&target)?);
        // Lines that are no more are forgotten with all others, which are soon read again.
        if read.len() >= MOST {
            read.clear();
        }
        read.insert(Arc::clone(text), Arc::clone(&line));
        Ok(line)
    }

    /// Reads a target.
    ///
    /// # Errors
    /// What the program would say of its words.
    pub(super) fn read(&self, target: &EndpointTarget) -> Result<Line, Failure> {
        let words = std::iter::once("qs-api-call").chain(target.arguments.iter().map(String::as_str));
        let CallLine { invocation, common, .. } =
            CallLine::try_parse_from(words).map_err(|error| Failure::new(Exit::Usage, sentence(&error).0))?;
        let task = invocation.task_name();
        check_task_name(&task)
            .map_err(|reason| Failure::new(Exit::Usage, format!("--task {task:?}: {reason}")))?;
        let settings = target.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Line { invocation, common, env: self.env.with(settings) })
    }
}

/// One line, and the environment that it would run in.
pub(super) struct Line {
    pub(super) invocation: Invocation,
    common: Common,
    env: Env,
}

impl Line {
    /// Its settings, from the configuration as it is now: whoever corrects a file need not restart a scheduler.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let settings = Settings::resolve(&self.env, &self.invocation, &self.common)?;
        Ok(settings.of_task(&self.invocation.task_name()))
    }

    /// What a scheduler must know of it.
    ///
    /// # Errors
    /// Why it could not be called as it is. A file that is not there yet may come.
    pub(super) fn policy(&self, clock: SharedClock) -> Result<LinePolicy, Failure> {
        let settings = self.settings()?;
        let run_id = ExecutionId::new(clock.now(), [0; 10]);
        let request = settings.client(false, clock).request(&self.invocation, run_id, None);
        let is_safe = match request {
            Ok(request) => request.method.is_idempotent(),
            Err(error) if matches!(error.outcome(), CallOutcome::Usage | CallOutcome::Misconfigured) => {
                return Err(Failure::new(error.outcome().exit(), error.to_string()));
            }
            Err(_) => false,
        };
        let call = &settings.config().call;
        Ok(LinePolicy {
            task: self.invocation.task_name(),
            overlap: call.overlap,
            jitter: call.jitter,
            jitter_fixed: call.jitter_fixed,
            timeout: call.timeout,
            idempotent: call.idempotent || is_safe,
        })
    }
}

/// What a line and its configuration say to a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePolicy {
    /// Its task.
    pub task: String,
    /// What happens when the last run is not over.
    pub overlap: Overlap,
    /// Longest delay of its start.
    pub jitter: Duration,
    /// Whether that is the same on every run.
    pub jitter_fixed: bool,
    /// How long the call may take, without the jitter.
    pub timeout: Duration,
    /// Whether its request may be repeated without harm.
    pub idempotent: bool,
}
