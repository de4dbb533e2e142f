//! `explain`: the published exit codes in words.

use serde_json::json;

use super::args::ExplainArgs;
use crate::cli::output::{Failure, Output};
use crate::domain::exit::Exit;

/// Explains one exit code, or all.
pub(super) fn run(args: &ExplainArgs, output: Output) -> Result<(), Failure> {
    let chosen = match &args.code {
        None => Exit::ALL.to_vec(),
        Some(text) => vec![find(text)?],
    };
    if args.json {
        return output.json(&json!(chosen.iter().map(|exit| exit.info()).collect::<Vec<_>>()));
    }
    let texts: Vec<String> = chosen
        .iter()
        .map(|exit| {
            let info = exit.info();
            format!("{} {}\n  {}\n  {}", info.code, info.name, info.meaning, info.advice)
        })
        .collect();
    output.data(&texts.join("\n"))
}

fn find(text: &str) -> Result<Exit, Failure> {
    let by_code = text.parse::<u8>().ok().and_then(Exit::from_code);
    by_code.or_else(|| text.parse().ok()).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{text:?} is no exit code of qs-api-call"))
            .with_hint("`qs-api-call explain` lists them all")
    })
}
