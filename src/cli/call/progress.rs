//! Progress on standard error, for `-v` and for a person at a terminal.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::cli::output::Output;
use crate::clock::SharedClock;
use crate::config::call::LogFormat;
use crate::journal::line::Line;

/// Shows this project's events as lines on standard error.
pub(super) struct Progress {
    output: Output,
    level: Level,
    clock: SharedClock,
}

impl Progress {
    /// `verbose` is how often `-v` was given; a terminal alone shows as much as one.
    pub(super) fn new(output: Output, verbose: u8, clock: SharedClock) -> Option<Self> {
        let level = match verbose {
            0 if !output.stderr_is_terminal => return None,
            0 | 1 => Level::INFO,
            _ => Level::DEBUG,
        };
        Some(Self { output, level, clock })
    }
}

impl<S: Subscriber> Layer<S> for Progress {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(mut line) = Line::of(event, self.level) else { return };
        // The reply is data and goes to standard output; the failure has its own line.
        line.fields.retain(|(key, _)| !matches!(key.as_str(), "event" | "response"));
        let text = line.render(&self.clock.local(), LogFormat::Text);
        let (dim, reset) = if self.output.colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        self.output.note(&format!("{dim}{}{reset}", text.trim_end()));
    }
}
