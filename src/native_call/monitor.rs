//! The outside monitor of one run: it hears of the begin beside the call, and of the end when everything is written.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{Instrument, info, warn};

use crate::client::Client;
use crate::config::call;
use crate::domain::exit::Exit;
use crate::journal::Journal;
use crate::notify::ping::Ping;

/// How long the ping of the begin may take when the call is over already.
const LATE_START: Duration = Duration::from_millis(500);

/// Pings one check about one run.
pub(super) struct Monitor {
    ping: Arc<Ping>,
    start: Option<JoinHandle<()>>,
}

impl Monitor {
    /// The monitor, if one is configured and can be reached. A run by hand says nothing about the schedule that it watches.
    pub(super) async fn of(client: &Client, config: &call::Ping, journal: &Journal) -> Option<Self> {
        let secret = &config.url.as_ref()?.0;
        if journal.execution.manual {
            info!(event = "not_pinged", "No ping: this run is by hand");
            return None;
        }
        let connection = match url::Url::parse(secret.expose()) {
            Ok(url) => client.transport.client(&url).await.map_err(|error| error.to_string()),
            Err(_) => Err("ping.url is no URL".to_owned()),
        };
        match connection {
            Ok(connection) => {
                let ping =
                    Ping::new(connection.clone(), secret.clone(), config.timeout, journal.execution.run_id);
                Some(Self { ping: Arc::new(ping), start: None })
            }
            Err(reason) => {
                warn!(event = "ping_failed", reason, "Ping not sent; the outcome of the call stands");
                None
            }
        }
    }

    /// Says that the run begins, beside whatever comes next.
    pub(super) fn start(&mut self) {
        let ping = Arc::clone(&self.ping);
        self.start = Some(tokio::spawn(async move { ping.start().await }.in_current_span()));
    }

    /// Says how the run ended, unless that takes longer than `limit`; without one it is given up when `stopped` ends.
    pub(super) async fn end(self, exit: Exit, message: &str, limit: Option<Duration>, stopped: impl Future) {
        let pings = async {
            if let Some(start) = self.start
                && tokio::time::timeout(LATE_START, start).await.is_err()
            {
                warn!(event = "ping_failed", signal = "start", "Ping given up; the call is over");
            }
            self.ping.end(exit, message).await;
        };
        let given_up = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => drop(stopped.await),
            }
        };
        tokio::select! {
            () = pings => {}
            () = given_up => {
                warn!(event = "ping_failed", "Ping given up; the outcome of the call stands");
            }
        }
    }
}
