//! One `qs-api-call` line as a typed value: the same struct parses the command line, a crontab entry and a rendered
//! unit, so an option means the same wherever the line runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::domain::code::Code;
use crate::domain::expectation::Expectation;
use crate::domain::overlap::Overlap;
use crate::domain::target::check_target_name;
use crate::domain::word::UnknownWord;
use crate::domain::{duration, media_type, size};

/// The arguments of one call: what is called, where it is logged, and the policy of the task.
#[expect(clippy::doc_markdown, reason = "the comments are the help text")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, not a state")]
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Invocation {
    /// Path of the endpoint, appended to api.base_url
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: Option<String>,

    /// Log file [default: api-call.log in the log directory]
    #[arg(value_name = "LOG_FILE")]
    pub log_file: Option<PathBuf>,

    /// HTTP method [default: POST]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Request")]
    pub method: Option<String>,

    /// JSON body: a text, @FILE, or @- for standard input [default: {}]
    #[arg(short, long, value_name = "JSON", help_heading = "Request")]
    pub data: Option<String>,

    /// Send no body, whatever the method
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "data", help_heading = "Request")]
    pub no_body: bool,

    /// Type of the body of --data, which is then sent as it is; one of JSON is still checked [default: application/json]
    #[arg(long, value_name = "TYPE", value_parser = media_type, requires = "data", help_heading = "Request")]
    pub content_type: Option<String>,

    /// Query parameter; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", help_heading = "Request")]
    pub query: Vec<String>,

    /// Further header; may be repeated. Not for secrets: the command line is public
    #[arg(short = 'H', long, value_name = "NAME: VALUE", help_heading = "Request")]
    pub header: Vec<String>,

    /// Call this target of the configuration instead of the unnamed one
    #[arg(long, value_name = "NAME", value_parser = target_name, help_heading = "Task")]
    pub target: Option<String>,

    /// Name of the task in records, metrics and locks [default: from the endpoint]
    #[arg(long, value_name = "NAME", help_heading = "Task")]
    pub task: Option<String>,

    /// When the last run is not over: skip, sequential, parallel or fail [default: skip]
    #[arg(long, value_name = "POLICY", value_parser = overlap, help_heading = "Task")]
    pub overlap: Option<Overlap>,

    /// Wait a random time up to this long before anything else
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "Task")]
    pub jitter: Option<Duration>,

    /// Make the jitter the same on every run, derived from host and task
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Task")]
    pub jitter_fixed: bool,

    /// Follow an accepted call (202) to its end
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Task")]
    pub wait: bool,

    /// Total budget: login, waits and every attempt [default: 5m30s]
    #[arg(short, long, value_name = "DURATION", value_parser = duration::parse_limit, help_heading = "Policy")]
    pub timeout: Option<Duration>,

    /// Deadline of TCP and TLS set-up [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_limit, help_heading = "Policy")]
    pub connect_timeout: Option<Duration>,

    /// Deadline of one attempt [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_limit, help_heading = "Policy")]
    pub attempt_timeout: Option<Duration>,

    /// Attempts after the first one [default: 2]
    #[arg(short, long, value_name = "N", help_heading = "Policy")]
    pub retries: Option<u32>,

    /// Repeating a request that may have arrived is harmless
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Policy")]
    pub idempotent: bool,

    /// Code in a reply that means success, a number or a word; may be repeated [default: 0, 200, OK and SUCCESS]
    #[arg(
        long,
        value_name = "CODE",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Policy"
    )]
    pub success_code: Vec<Code>,

    /// What a reply must hold, for example /status=OK; may be repeated
    #[arg(long, value_name = "POINTER=VALUE", help_heading = "Policy")]
    pub expect: Vec<Expectation>,

    /// Judge a reply by its status alone
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "expect", help_heading = "Policy")]
    pub ignore_body: bool,

    /// Most of a reply that is read [default: 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = "Policy")]
    pub max_body: Option<u64>,

    /// Trust the CAs in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub cacert: Option<PathBuf>,

    /// Client certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Connection")]
    pub cert: Option<PathBuf>,

    /// Key of the client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Connection")]
    pub key: Option<PathBuf>,

    /// Ignore HTTPS_PROXY and http_proxy
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Connection")]
    pub no_proxy: bool,

    /// Send no credential: no token is read, obtained or sent
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Connection")]
    pub no_auth: bool,

    /// Allow http:// to a host that is not loopback, private, single-label or cluster-local
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Connection")]
    pub allow_plaintext: bool,

    /// Write the reply of a successful call into this file, whole or not at all; - is standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Ping this check in the healthchecks protocol, {task} in it is the task's name; prefer ping.url in the configuration, where it stays private
    #[arg(long, value_name = "URL", help_heading = "Record")]
    pub ping_url: Option<String>,

    /// Shape of a log line: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], help_heading = "Record")]
    pub log_format: Option<String>,
}

impl Invocation {
    /// The method in upper case; POST unless told otherwise.
    pub fn method(&self) -> String {
        self.method.as_deref().unwrap_or("POST").to_ascii_uppercase()
    }

    /// Whether the body must be JSON: it is, unless another type is named.
    pub fn sends_json(&self) -> bool {
        self.content_type.as_ref().is_none_or(|given| media_type::is_json(&media_type::essence(given)))
    }
}

fn target_name(text: &str) -> Result<String, String> {
    check_target_name(text).map(|()| text.to_owned())
}

fn media_type(text: &str) -> Result<String, String> {
    media_type::check(text).map(|()| text.to_owned())
}

/// An overlap policy; clap itself shows what was found.
fn overlap(text: &str) -> Result<Overlap, String> {
    text.parse().map_err(|unknown: UnknownWord| unknown.expected())
}

/// Whether a name can be a task's: it becomes a file name and a metric label.
///
/// # Errors
/// What a name may contain.
pub fn check_task_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(plain) {
        return Err("expected 1 to 128 letters, digits, '-', '_' or '.', not beginning with '.'".to_owned());
    }
    Ok(())
}

/// The default log file in `dir`, with the name that the scripts gave it.
pub fn default_log(dir: &Path) -> PathBuf {
    dir.join("api-call.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_names_are_safe_as_file_names() {
        for name in ["", ".hidden", "a/b", "a b", "ä", "a\n"] {
            assert!(check_task_name(name).is_err(), "{name:?}");
        }
    }
}
