//! `wrk`, and what it counted.

use std::cell::Cell;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::routes::Route;

/// Says what it counted in one line; and gives each request of the intake an event of its own.
const SCRIPT: &str = r#"
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
local sent = 0
function init(args)
  run = args[1]
end
function request()
  if run == nil then return wrk.format() end
  sent = sent + 1
  local body = string.format('{"event_id":"%s-%d-%d","type":"submitted","questionnaire_code":"Q%d","testee_id":%d}',
    run, number, sent, sent % 20, sent % 500 + 1)
  return wrk.format("POST", nil, nil, body)
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("COUNTED %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"#;

/// What came of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    /// Replies a second.
    pub(crate) rate: f64,
    /// Milliseconds within which 99 of 100 came.
    pub(crate) p99: f64,
    /// Connections that broke, and requests without a reply in time.
    pub(crate) unanswered: u64,
    /// Replies that were no success.
    pub(crate) refused: u64,
}

/// How it is asked.
pub(crate) struct Load {
    seconds: u32,
    runs: Cell<u32>,
    dir: TempDir,
}

impl Load {
    /// For so many seconds each.
    pub(crate) fn new(seconds: u32) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("load.lua"), SCRIPT)?;
        Ok(Self { seconds, runs: Cell::new(0), dir })
    }

    /// Asks for a route by so many connections.
    pub(crate) fn run(
        &self,
        base: &str,
        token: &str,
        route: &Route,
        connections: u32,
    ) -> anyhow::Result<Shot> {
        self.runs.set(self.runs.get() + 1);
        let mut wrk = Command::new("wrk");
        wrk.args(["-t", "2", "-c", &connections.to_string(), "-d", &format!("{}s", self.seconds)])
            .args(["--timeout", "10s", "-H", "content-type: application/json", "-s"])
            .arg(self.dir.path().join("load.lua"));
        if !token.is_empty() {
            wrk.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        wrk.arg(format!("{base}{}", route.path));
        if !route.reads() {
            wrk.args(["--", &format!("run{}", self.runs.get())]);
        }
        let output = wrk.output().context("wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
        counted(&text).with_context(|| format!("wrk said nothing of what it counted: {text}"))
    }
}

fn counted(text: &str) -> Option<Shot> {
    let line = text.lines().find_map(|line| line.strip_prefix("COUNTED "))?;
    let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [requests, microseconds, p99, unanswered, refused] = numbers[..] else { return None };
    Some(Shot {
        rate: f64::from(requests) * 1e6 / f64::from(microseconds),
        p99: f64::from(p99) / 1e3,
        unanswered: unanswered.into(),
        refused: refused.into(),
    })
}
