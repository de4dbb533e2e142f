//! The words of a command as they are written, and what the shell would change in them.

use crate::crontab::shell::{expands, unquoted};

/// A word of a command.
#[derive(Clone)]
pub(super) struct Word<'a> {
    /// What it says without its quotes.
    pub(super) text: String,
    /// As it is written. For the value in `--option=value`, the whole of that.
    pub(super) raw: &'a str,
}

impl Word<'_> {
    /// Whether the shell makes one word of it, whatever it puts in: that is within one pair of double quotes.
    pub(super) fn is_one_word(&self) -> bool {
        let parts: Vec<&str> = self.raw.split('"').collect();
        matches!(parts[..], [before, within, after]
            if changed_by_shell(before).is_none() && changed_by_shell(after).is_none() && !within.contains('\\')
                && !before.contains(['\'', '\\']) && !after.contains(['\'', '\\']))
    }
}

/// The words of a command with these texts as they are written.
pub(super) fn words<'a>(command: &'a str, texts: &[String]) -> Option<Vec<Word<'a>>> {
    let blanks = unquoted(command).filter(|(_, c)| matches!(c, ' ' | '\t' | '\n')).map(|(at, _)| at);
    let mut start = 0;
    let words = blanks.chain([command.len()]).map(|at| {
        let word = &command[start..at];
        start = at + 1;
        word
    });
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let alike =
        |(raw, text): (&&str, &String)| matches!(shlex::split(raw).as_deref(), Some([word]) if word == text);
    let word = |(raw, text): (&'a str, &String)| Word { text: text.clone(), raw };
    (words.len() == texts.len() && words.iter().zip(texts).all(alike))
        .then(|| words.into_iter().zip(texts).map(word).collect())
}

/// Why the shell, or another one than it, would make something else of a word as it is written.
pub(super) fn changed_by_shell(raw: &str) -> Option<&'static str> {
    if raw.starts_with('~') {
        return Some("the shell puts a home directory into it");
    }
    if unquoted(raw).any(|(_, c)| c == '{') {
        return Some("the shell may make several words of its braces");
    }
    expands(raw)
}
