//! What the parser of a command line has to say, in one sentence.

use clap::Error;
use clap::error::{ContextKind, ContextValue};

/// The sentence of an error that says what is wrong, and the word that was probably meant. The parser's other tips are
/// about its own syntax and mislead: nobody means to call `--bogus`.
pub fn sentence(error: &Error) -> (String, Option<String>) {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = ["\n\n  tip:", "\n  tip:", "\n\nUsage", "\n\nFor more"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    let said = text[..end.unwrap_or(text.len())].split_whitespace().collect::<Vec<_>>().join(" ");
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand]
        .into_iter()
        .find_map(|kind| match error.get(kind)? {
            ContextValue::String(word) => Some(word.clone()),
            ContextValue::Strings(words) => words.first().cloned(),
            _ => None,
        });
    (said, near)
}
