//! A line of a crontab as the target of a task.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::call::is_read;
use crate::crontab::call::Call;
use crate::crontab::environment::Setting;
use crate::crontab::lint;
use crate::crontab::problem::{Problem, Rule, report};
use crate::native_call::reply_file;

/// What is called: the words of a line and the settings that count for it. Two lines that make the same call are equal,
/// wherever they stand in their file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointTarget {
    /// The words behind the name of the program.
    pub arguments: Vec<String>,
    /// Settings above the line and in front of the call, as far as a call reads them: `(name, value)`.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The crontab that it is from, if it is from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl EndpointTarget {
    /// The call of line `line` in `file`, with the settings `above` it.
    ///
    /// # Errors
    /// Everything for which the line cannot be called by a scheduler, in the linter's words where it has them.
    pub fn of(line: usize, call: &Call, above: &[Setting], file: Option<&str>) -> Result<Self, Vec<Problem>> {
        let settings: Vec<(&str, &str)> =
            call.settings(above).into_iter().filter(|(name, _)| is_read(name)).collect();
        let mut problems = Vec::new();
        lint::arguments(line, &call.line, &mut problems);
        // What is kept of a task is shown to whoever may see the task.
        lint::secret_settings(line, settings.iter().copied(), &mut problems);
        without_a_shell(line, call, &mut problems);
        relative(line, call, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self {
            arguments: call.arguments.clone(),
            settings: settings.into_iter().map(owned).collect(),
            file: file.map(str::to_owned),
        })
    }
}

/// What needs a standard input or output, which a line has under cron alone.
fn without_a_shell(line: usize, call: &Call, problems: &mut Vec<Problem>) {
    let mut wrong = |found: &str, fix: &str| {
        report(problems, Rule::CallArguments, line, found).fix(fix);
    };
    if call.line.call.json {
        wrong("--json, whose object would be printed for nobody", "leave it out: the history says the same");
    }
    let invocation = &call.line.invocation;
    if invocation.output.as_deref().is_some_and(is_stream) {
        wrong("--output to a standard stream, which nobody would read", "--output with the path of a file");
    }
    if invocation.data.as_deref() == Some("@-") {
        wrong("a body from standard input, where nothing comes from", "--data with the body, or @FILE");
    }
}

fn is_stream(path: &Path) -> bool {
    let of_process = ["/dev/fd/", "/proc/self/fd/"].iter().any(|dir| path.starts_with(dir));
    reply_file::is_stdout(path) || of_process || path == Path::new("/dev/stderr")
}

/// Cron begins every line in the home of its user; a scheduler has one directory for all.
fn relative(line: usize, call: &Call, problems: &mut Vec<Problem>) {
    let (invocation, common) = (&call.line.invocation, &call.line.common);
    let body = invocation.data.as_deref().and_then(|data| data.strip_prefix('@')).map(Path::new);
    let places = [
        invocation.log_file.as_deref(),
        invocation.output.as_deref(),
        invocation.cacert.as_deref(),
        invocation.cert.as_deref(),
        invocation.key.as_deref(),
        common.config.as_deref(),
        common.state_dir.as_deref(),
        body,
    ];
    for path in places.into_iter().flatten().filter(|path| path.is_relative() && *path != Path::new("-")) {
        let found = format!("the relative path {:?}", path.display().to_string());
        report(problems, Rule::CallArguments, line, found)
            .expected("a full path")
            .fix("write it from / on: only cron begins in the home of the user");
    }
}
