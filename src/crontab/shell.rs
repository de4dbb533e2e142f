//! As much of the shell's language as is needed to see that a command is one program with fixed words.

/// A character that the shell may take for more than itself: not escaped, not within single quotes.
#[derive(Clone, Copy)]
struct Live {
    at: usize,
    c: char,
    /// Within double quotes, where only variables and commands are put in.
    quoted: bool,
}

fn live(shell: &str) -> impl Iterator<Item = Live> + '_ {
    let (mut quote, mut escaped) = (None, false);
    shell.char_indices().filter_map(move |(at, c)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some('"') | None, c) => return Some(Live { at, c, quoted: quote.is_some() }),
            _ => {}
        }
        None
    })
}

/// The characters that stand outside of quotes and are not escaped, and where.
pub(super) fn unquoted(shell: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    live(shell).filter(|live| !live.quoted).map(|Live { at, c, .. }| (at, c))
}

/// The name of a program, without its directory.
pub(super) fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// `NAME=value`, if a word is that.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then_some((name, value))
}

/// Splits a command line into the command, its redirections, and what follows its first operator. Words behind a
/// redirection are arguments to the shell; whoever writes them so is not followed: they count as the rest.
pub(super) fn split(shell: &str) -> (&str, &str, &str) {
    let (mut redirection, mut word_start, mut angle) = (None, 0, None);
    let (mut end, mut rest) = (shell.len(), "");
    for (at, c) in unquoted(shell) {
        match c {
            ' ' | '\t' => word_start = at + 1,
            '<' | '>' => {
                let digits = shell[word_start..at].bytes().all(|byte| byte.is_ascii_digit());
                redirection = redirection.or(Some(if digits { word_start } else { at }));
                angle = Some(at);
            }
            // `2>&1` and `&>` are redirections, not operators.
            '&' if at > 0 && angle == Some(at - 1) => {}
            '&' if shell[at..].starts_with("&>") => redirection = redirection.or(Some(at)),
            ';' | '|' | '&' | '(' | ')' | '\n' => {
                (end, rest) = (at, &shell[at..]);
                break;
            }
            '#' if at == word_start => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let (command, behind) = shell.split_at(redirection.unwrap_or(end));
    let redirection = &shell[command.len()..end];
    if only_redirections(redirection) { (command, redirection, rest) } else { (command, "", behind) }
}

fn only_redirections(text: &str) -> bool {
    let Some(words) = shlex::split(text) else { return false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let target = operator.trim_start_matches(['<', '>', '&', '|']);
        if target.len() == operator.len() || (target.is_empty() && words.next().is_none()) {
            return false;
        }
    }
    true
}

/// Why the shell would change a word, if it would.
pub(super) fn expands(command: &str) -> Option<&'static str> {
    let begins = |at: usize| command[..at].ends_with([' ', '\t', '=', ':']) || at == 0;
    live(command).find_map(|Live { at, c, quoted }| match c {
        '$' | '`' => Some("the shell puts a variable or the output of a command into it"),
        '*' | '?' | '[' if !quoted => Some("the shell looks for files that match a word of it"),
        '{' if !quoted => Some("the shell may make several words of one with braces"),
        '~' if !quoted && begins(at) => Some("the shell puts a home directory into it"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_count_outside_of_quotes_alone() {
        for (shell, expected) in [
            ("a b", ("a b", "", "")),
            ("a 'b;c' > d", ("a 'b;c' ", "> d", "")),
            ("a 2>&1 | b", ("a ", "2>&1 ", "| b")),
            ("a \\; b; c", ("a \\; b", "", "; c")),
            ("a &> b", ("a ", "&> b", "")),
            ("a \"b > c\" #d", ("a \"b > c\" ", "", "")),
            ("a#b", ("a#b", "", "")),
            ("a >b 2>&1", ("a ", ">b 2>&1", "")),
            ("a 2> b c", ("a ", "", "2> b c")),
            ("a \\>& b", ("a \\>", "", "& b")),
        ] {
            assert_eq!(split(shell), expected, "{shell}");
        }
    }

    #[test]
    fn only_what_the_shell_would_change_expands() {
        for shell in ["a $b", "a \"$b\"", "a `b`", "a *", "a [b]", "a {b,c}", "a ~/b", "a b=~/c"] {
            assert!(expands(shell).is_some(), "{shell}");
        }
        for shell in ["a '$b'", "a \\$b", "a '*'", "a \"*\"", "a b=c", "a '{b}'", "a b~c"] {
            assert_eq!(expands(shell), None, "{shell}");
        }
    }
}
