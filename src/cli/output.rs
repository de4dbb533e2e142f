//! What a program shows: data on standard output, everything else on standard error, decided in one place.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use clap::error::ErrorKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use crate::crontab::usage::sentence;
use crate::domain::exit::Exit;
pub use crate::domain::failure::Failure;
use crate::journal::line::truncate;

/// Longest error line: it must fit a mail subject or a terminal, not a reply.
const LONGEST_ERROR: usize = 600;

/// How long a reader may take to take a line.
const PATIENCE: Duration = Duration::from_secs(3);

impl Failure {
    /// Wrong usage of `program`: the parser's paragraphs become one line, with the nearest word that there is.
    pub fn usage(error: &clap::Error, program: &str) -> Self {
        let message = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            "nothing to do is named".to_owned()
        } else {
            let (said, near) = sentence(error);
            if let Some(near) = near {
                return Self::new(Exit::Usage, said).with_hint(format!("did you mean {near}?"));
            }
            said
        };
        Self::new(Exit::Usage, message).with_hint(format!("see {program} --help"))
    }
}

/// Standard output and standard error of a program.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The program's name, before every error.
    pub program: &'static str,
    /// Colours on standard error.
    pub colour: bool,
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Output {
    /// The process's own; `no_color` is the variable of that name.
    pub fn of_process(program: &'static str, no_color: Option<&str>) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        Self {
            program,
            colour: stderr_is_terminal && no_color.is_none(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal,
        }
    }

    /// Writes data. A reader that has gone away wants no more, which is no failure and changes no verdict.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Io, format!("standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes data as long as somebody takes it; false if nobody does.
    pub fn data_if_read(&self, text: &str) -> Result<bool, Failure> {
        if !is_read(&io::stdout(), PATIENCE) {
            return Ok(false);
        }
        self.data(text).map(|()| true)
    }

    /// Writes data as JSON.
    pub fn json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.serialized(value)
    }

    /// Writes what becomes JSON.
    pub fn serialized(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.stdout_is_terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.data(&text.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?)
    }

    /// Writes a table without lines: it reads well and pipes well.
    pub fn table<R>(&self, header: &[&str], rows: impl IntoIterator<Item = R>) -> Result<(), Failure>
    where
        R: Into<comfy_table::Row>,
    {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if !header.is_empty() {
            table.set_header(header.iter().map(|name| name.to_uppercase()));
        }
        table.add_rows(rows);
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.data(&lines.join("\n"))
    }

    /// Writes a failure: exactly one line with its exit code, so that a mail made of it says everything at a glance; on a
    /// terminal the hint stands apart.
    pub fn failure(&self, failure: &Failure) {
        let message = one_line(&failure.message);
        let (red, reset) = if self.colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let hint = match &failure.hint {
            Some(hint) if self.stderr_is_terminal => format!("\n\nhint: {hint}"),
            Some(hint) => format!(" (hint: {})", one_line(hint)),
            None => String::new(),
        };
        let Output { program, .. } = self;
        let (code, name) = (failure.exit.code(), failure.exit.as_str());
        self.note(&format!("{program}: {red}{message}{reset} [{code} {name}]{hint}"));
    }

    /// Ends a program: shows its failure, if any, and gives its exit code.
    pub fn finish(&self, result: Result<(), Failure>) -> Exit {
        match result {
            Ok(()) => Exit::Ok,
            Err(failure) => {
                self.failure(&failure);
                failure.exit
            }
        }
    }

    /// Writes a line for a human. Standard error that cannot be written, or that nobody reads, leaves nobody to tell.
    pub fn note(&self, line: &str) {
        if is_read(&io::stderr(), PATIENCE) {
            drop(writeln!(io::stderr().lock(), "{line}"));
        }
    }
}

/// What a parser has to say: help and version are data, anything else is wrong usage, on one line.
pub fn usage(error: &clap::Error, output: Output) -> Result<(), Failure> {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion if output.stdout_is_terminal && output.colour => {
            output.data(&text.ansi().to_string())
        }
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output.data(&text.to_string()),
        _ => Err(Failure::usage(error, output.program)),
    }
}

/// Whether a line can be written without waiting longer than this: a write to a pipe that nobody reads would not even end
/// with a signal. A pipe that takes anything takes a page of 4096 bytes.
fn is_read(stream: &impl AsFd, patience: Duration) -> bool {
    let Ok(patience) = Timespec::try_from(patience) else { return true };
    loop {
        match poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&patience)) {
            Err(Errno::INTR) => {}
            // What cannot be asked is written.
            ready => return ready != Ok(0),
        }
    }
}

/// The text on one line and of bounded length.
fn one_line(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match truncate(&flat, LONGEST_ERROR) {
        cut if cut.len() < flat.len() => format!("{cut}…"),
        whole => whole.to_owned(),
    }
}
