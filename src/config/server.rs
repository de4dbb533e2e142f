//! The sections that every server has: where it listens, where it keeps things, what it logs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::field::{Bytes, Field, SecretText, Value, word_fields};
use super::section::section;
use crate::domain::word::words;

/// Fewer connections than this are no server.
pub const FEWEST_CONNECTIONS: u32 = 16;

section! {
    /// Section `server`.
    pub struct Server {
        /// Address and port to listen on.
        pub addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// How long running requests and syncs may go on after a signal.
        pub shutdown_grace: Duration = Duration::from_secs(30),
        /// Deadline of a request.
        pub request_timeout: Duration = Duration::from_mins(5),
        /// Largest request body.
        pub max_body: Bytes = Bytes(1 << 20),
        /// Connections at most; unset means 8192, or as many as the limit of descriptors allows.
        pub max_connections: Option<u32>,
        /// How long the head of a request may take.
        pub header_timeout: Duration = Duration::from_secs(15),
        /// How long the body of a request may take.
        pub body_timeout: Duration = Duration::from_secs(30),
        /// How long a client may take nothing of its reply.
        pub write_timeout: Duration = Duration::from_secs(30),
        /// How long a connection may lie between two requests: longer than the clients in use keep one, so that it is
        /// they who close it, and no request meets a connection that is being closed.
        pub idle_timeout: Duration = Duration::from_mins(2),
        /// Zone whose days are counted; unset means the zone of the machine.
        pub timezone: Option<Zone>,
    }
}

impl Server {
    /// Refuses what means nothing.
    pub(super) fn check(&self, wrong: Wrong<'_>) {
        let durations = [
            ("server.request_timeout", self.request_timeout),
            ("server.header_timeout", self.header_timeout),
            ("server.body_timeout", self.body_timeout),
            ("server.write_timeout", self.write_timeout),
            ("server.idle_timeout", self.idle_timeout),
        ];
        at_least_a_second(&durations, wrong);
        if self.max_connections.is_some_and(|connections| connections < FEWEST_CONNECTIONS) {
            wrong("server.max_connections", &format!("must be at least {FEWEST_CONNECTIONS}"), USE_DEFAULT);
        }
    }

    /// The zone whose days are counted.
    pub fn business_zone(&self) -> TimeZone {
        self.timezone.clone().map_or_else(TimeZone::system, |zone| zone.0)
    }
}

section! {
    /// Section `database`.
    pub struct Database {
        /// `sqlite:…` or `mysql:…`; it may carry a password, so it is never shown. Unset means a file in the state directory.
        pub url: Option<SecretText>,
        /// File that holds the URL.
        pub url_file: Option<PathBuf>,
        /// Zone whose wall clock the `DATETIME` columns show; unset means `server.timezone` on MySQL, UTC on SQLite.
        pub timezone: Option<Zone>,
        /// Connections at most.
        pub connections: u32 = 8,
        /// Whether `serve` takes schema changes that are missing.
        pub migrate: bool = true,
    }
}

section! {
    /// Section `redis`.
    pub struct Redis {
        /// `redis://…` or `rediss://…`; it may carry a password, so it is never shown. Unset means embedded counters.
        pub url: Option<SecretText>,
        /// File that holds the URL.
        pub url_file: Option<PathBuf>,
    }
}

section! {
    /// Section `log`.
    pub struct Log {
        /// What is written.
        pub level: LogLevel,
        /// Shape of a line.
        pub format: LogShape,
        /// Directory of the daily files; unset means stderr alone.
        pub dir: Option<PathBuf>,
    }
}

/// An IANA time zone that exists on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(pub TimeZone);

impl Field for Zone {
    fn read(value: &Value) -> Result<Self, String> {
        TimeZone::get(value.text()?)
            .map(Zone)
            .map_err(|_| "expected an IANA time zone such as Asia/Shanghai or UTC".to_owned())
    }

    fn show(&self) -> String {
        self.0.iana_name().unwrap_or_default().to_owned()
    }
}

impl Field for SocketAddr {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .text()?
            .parse()
            .map_err(|_| "expected an IP address with a port such as 127.0.0.1:8080 or [::1]:0".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

words! {
    /// What is written to the log.
    #[derive(Default)]
    pub enum LogLevel: "log level" {
        /// Someone must act.
        Error = "error",
        /// Something was refused or lost.
        Warn = "warn",
        /// What was done.
        #[default]
        Info = "info",
        /// How it was done.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// Shape of a log line of a server.
    #[derive(Default)]
    pub enum LogShape: "shape of a log line" {
        /// For people.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}
word_fields!(LogLevel, LogShape);

/// What to do about most values that are wrong.
pub(super) const USE_DEFAULT: &str = "remove the key to use the default";

/// Takes what is wrong with the values of a configuration: key, message, hint.
pub(super) type Wrong<'a> = &'a mut dyn FnMut(&str, &str, &str);

/// Refuses durations that are shorter.
pub(super) fn at_least_a_second(durations: &[(&str, Duration)], wrong: Wrong<'_>) {
    for (key, _) in durations.iter().filter(|(_, value)| *value < Duration::from_secs(1)) {
        wrong(key, "must be at least 1s", USE_DEFAULT);
    }
}
