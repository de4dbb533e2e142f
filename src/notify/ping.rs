//! Pings in the healthchecks protocol: `/start` before a run, then the exit code, both with the run id.
//!
//! A ping can never change the outcome of a call: it has its own short deadline, and its failure is a warning.

use std::time::Duration;

use reqwest::Client;
use tokio::time::Instant;
use tracing::warn;
use url::Url;

use crate::domain::exit::Exit;
use crate::domain::id::ExecutionId;
use crate::secret::Secret;

/// Attempts of one ping.
const ATTEMPTS: u32 = 3;

/// What stands for the name of the task in the URL of a check.
const TASK: &str = "{task}";

/// The URL of a task's own check: `{task}` is replaced by its name, which has no letter that a URL would change.
pub fn of_task(url: &Secret, task: &str) -> Secret {
    Secret::new(url.expose().replace(TASK, task))
}

/// Whether the URL could be pinged for some task.
///
/// # Errors
/// What is wrong with it, without the URL.
pub fn check_url(url: &Secret) -> Result<(), &'static str> {
    let text = of_task(url, "task");
    if text.expose().contains(['{', '}']) {
        return Err("expected {task} and no other name in braces");
    }
    match Url::parse(text.expose()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => Err("expected an http or https URL"),
    }
}

/// Pings one check. Its URL is a secret: whoever knows it can ping.
pub struct Ping {
    client: Client,
    url: Secret,
    timeout: Duration,
    run_id: ExecutionId,
}

impl Ping {
    /// Pings `url`, each time for at most `timeout`.
    pub fn new(client: Client, url: Secret, timeout: Duration, run_id: ExecutionId) -> Self {
        Self { client, url, timeout, run_id }
    }

    /// The run begins.
    pub async fn start(&self) {
        self.send("start", String::new()).await;
    }

    /// The run ended: exit code 0 is success, any other is a failure; `message` is what a human wants to know.
    pub async fn end(&self, exit: Exit, message: &str) {
        self.send(&exit.code().to_string(), message.to_owned()).await;
    }

    async fn send(&self, signal: &str, body: String) {
        let Some(url) = address(&self.url, signal, self.run_id) else {
            warn!(event = "ping_failed", signal, "Ping not sent: ping.url is no http or https URL");
            return;
        };
        let deadline = Instant::now() + self.timeout;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let request = self.client.post(url.clone()).body(body.clone()).send();
            match tokio::time::timeout_at(deadline, request).await {
                Ok(Ok(response)) if response.status().is_success() => return,
                Ok(Ok(response)) => reason = format!("HTTP {}", response.status().as_u16()),
                Ok(Err(error)) => kind(&error).clone_into(&mut reason),
                Err(_) => {
                    "no answer in time".clone_into(&mut reason);
                    break;
                }
            }
        }
        warn!(event = "ping_failed", signal, reason, "Ping failed; the outcome of the call stands");
    }
}

/// `<url>/<signal>?rid=<run id>`, keeping a query that the URL has.
fn address(url: &Secret, signal: &str, run_id: ExecutionId) -> Option<Url> {
    let mut url = Url::parse(url.expose()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.path_segments_mut().ok()?.pop_if_empty().push(signal);
    url.query_pairs_mut().append_pair("rid", &run_id.to_string());
    Some(url)
}

/// The kind of a failure; the error's own text would show the URL.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "connection lost"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_setting_serves_every_task() {
        let run = ExecutionId::new(jiff::Timestamp::UNIX_EPOCH, [0; 10]);
        for (url, expected) in [
            ("https://hc.example/key/{task}", "https://hc.example/key/sync_daily.a-1/0?rid="),
            (
                "https://hc.example/key/qs-{task}?create=1",
                "https://hc.example/key/qs-sync_daily.a-1/0?create=1&rid=",
            ),
            ("https://hc.example/uuid", "https://hc.example/uuid/0?rid="),
        ] {
            assert_eq!(check_url(&Secret::new(url)), Ok(()));
            let own = of_task(&Secret::new(url), "sync_daily.a-1");
            assert_eq!(address(&own, "0", run).unwrap().as_str(), format!("{expected}{run}"));
        }
        for url in
            ["https://hc.example/{name}", "https://hc.example/{task", "hc.example/{task}", "ftp://hc/{task}"]
        {
            assert!(check_url(&Secret::new(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn a_signal_is_appended_to_the_path() {
        let run = ExecutionId::new(jiff::Timestamp::UNIX_EPOCH, [0; 10]);
        for (url, signal, expected) in [
            ("https://hc.example/uuid", "start", "https://hc.example/uuid/start?rid="),
            ("https://hc.example/uuid/", "0", "https://hc.example/uuid/0?rid="),
            ("http://hc:8000/ping/key/slug?create=1", "75", "http://hc:8000/ping/key/slug/75?create=1&rid="),
        ] {
            let address = address(&Secret::new(url), signal, run).unwrap();
            assert_eq!(address.as_str(), format!("{expected}{run}"));
        }
        assert!(address(&Secret::new("hc.example/uuid"), "0", run).is_none());
    }
}
