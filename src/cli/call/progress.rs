//! Progress on standard error, for `-v` and for a person at a terminal.

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::cli::output::Output;
use crate::journal::line::Line;
use crate::journal::log::{Fields, is_ours};

/// Shows this project's events as lines on standard error.
pub(super) struct Progress {
    output: Output,
    level: Level,
    clock: crate::clock::SharedClock,
}

impl Progress {
    /// `verbose` is how often `-v` was given; a terminal alone shows as much as one.
    pub(super) fn new(output: Output, verbose: u8, clock: crate::clock::SharedClock) -> Option<Self> {
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
        let metadata = event.metadata();
        if !is_ours(metadata) || *metadata.level() > self.level {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        // The reply is data and goes to standard output; the failure has its own line.
        fields.fields.retain(|(key, _)| !matches!(key.as_str(), "event" | "response"));
        let line = Line {
            at: &self.clock.local(),
            level: *metadata.level(),
            message: &fields.message,
            fields: &fields.fields,
        };
        let text = line.render(crate::config::call::LogFormat::Text);
        let (dim, reset) = if self.output.colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        self.output.note(&format!("{dim}{}{reset}", text.trim_end()));
    }
}
