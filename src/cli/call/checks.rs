//! What `check` found, item by item, and how it is shown.

use serde_json::{Value, json};

use crate::cli::output::{Failure, Output};
use crate::domain::exit::Exit;

/// How one item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Warning,
    Bad(Exit),
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Good => "ok",
            Mark::Warning => "warning",
            Mark::Bad(_) => "bad",
        }
    }
}

/// The items found so far.
pub(super) struct Checks {
    pub(super) items: Vec<(&'static str, Mark, String)>,
}

impl Checks {
    pub(super) fn add(&mut self, what: &'static str, mark: Mark, text: impl Into<String>) {
        self.items.push((what, mark, text.into()));
    }

    pub(super) fn of(&mut self, what: &'static str, result: Result<String, Failure>) {
        match result {
            Ok(text) => self.add(what, Mark::Good, text),
            Err(failure) => {
                let hint = failure.hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
                self.add(what, Mark::Bad(failure.exit), format!("{}{hint}", failure.message));
            }
        }
    }
}

impl Checks {
    /// How the program ends when this is all: as the first bad item says.
    fn verdict(&self, target: Option<&str>) -> Option<Failure> {
        let bad: Vec<_> = self
            .items
            .iter()
            .filter_map(|(what, mark, text)| match mark {
                Mark::Bad(exit) => Some((what, *exit, text)),
                Mark::Good | Mark::Warning => None,
            })
            .collect();
        let (what, exit, text) = bad.first()?;
        let several = match bad.len() {
            1 => String::new(),
            count => format!("{count} items are bad, the first is "),
        };
        let target = target.map(|name| format!("target {name}: ")).unwrap_or_default();
        Some(Failure::new(*exit, format!("check: {target}{several}{what}: {text}")))
    }
}

/// Shows the items of each target, and ends as the worst of them says.
pub(super) fn report(
    targets: &[(Option<&str>, Checks)],
    as_json: bool,
    output: Output,
) -> Result<(), Failure> {
    if as_json {
        let items = targets.iter().flat_map(|(target, checks)| {
            let of_item = |(what, mark, text): &(&str, Mark, String)| json!({"target": target, "check": what, "result": mark.word(), "message": text});
            checks.items.iter().map(of_item).collect::<Vec<Value>>()
        });
        output.json(&items.collect())?;
    } else {
        for (target, checks) in targets {
            if targets.len() > 1 {
                output.data(&format!("target {}:", target.unwrap_or("(unnamed)")))?;
            }
            output.table(&[], checks.items.iter().map(|(what, mark, text)| [*what, mark.word(), text]))?;
        }
    }
    // The first of those with the highest code.
    let worst = targets.iter().filter_map(|(target, checks)| checks.verdict(*target));
    match worst.rev().max_by_key(|failure| failure.exit.code()) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}
