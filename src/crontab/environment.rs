//! Settings in a crontab (`NAME = value`), read as Debian's cron reads them (`env.c` of 3.0pl1).

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, without quotes.
    pub name: String,
    /// Its value, without quotes. Nothing in it is expanded.
    pub value: String,
}

/// Longest line of a setting, in bytes; cron drops the rest.
pub const MAX_LINE: usize = 998;

/// Reads a line as a setting. None when cron would try it as an entry instead: there is no `=` where one should be, a
/// quote is not closed, or nothing stands behind the `=`.
pub fn setting(line: &str) -> Option<Setting> {
    let line = line.trim_start_matches([' ', '\t']);
    let line = &line[..line.floor_char_boundary(MAX_LINE)];
    let (name, rest) = name(line)?;
    let rest = rest.trim_start_matches(is_space).strip_prefix('=')?.trim_start_matches(is_space);
    let value = unquoted(quoted(rest)?.trim_end_matches(is_space));
    Some(Setting { name: name.to_owned(), value: value.to_owned() })
}

/// Why cron keeps another value than the line says, if it does.
pub fn lost(line: &str, setting: &Setting) -> Option<&'static str> {
    let body = line.trim_start_matches([' ', '\t']);
    let written = name(body).and_then(|(_, rest)| rest.trim_start_matches(is_space).strip_prefix('='))?;
    let written = written.trim_matches(is_space);
    if body.len() > MAX_LINE {
        return Some("more than 998 bytes, the rest of which cron drops");
    }
    match quoted(written) {
        Some(inner) if inner.len() < written.len() => {
            let trimmed = inner.trim_end_matches(is_space);
            if trimmed.len() < inner.len() {
                return Some("blanks at the end of a quoted value, which cron drops");
            }
            (trimmed != setting.value).then_some("quotes within quotes, both of which cron takes away")
        }
        _ if written.starts_with('=') => Some("a second '=', which becomes part of the value"),
        _ if written.starts_with("# ") || written.contains(" #") => {
            Some("a comment behind the value, which becomes part of it")
        }
        _ => None,
    }
}

fn name(line: &str) -> Option<(&str, &str)> {
    if let Some(quote) = line.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (name, rest) = line[1..].split_once(quote)?;
        return (!name.contains('=')).then_some((name, rest));
    }
    let end = line.find(|c| is_space(c) || c == '=')?;
    Some(line.split_at(end))
}

/// The value without its quotes.
fn quoted(text: &str) -> Option<&str> {
    match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let (value, rest) = text[1..].split_once(quote)?;
            rest.chars().all(is_space).then_some(value)
        }
        _ => Some(text),
    }
}

/// Cron takes quotes away a second time.
fn unquoted(value: &str) -> &str {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    quote.and_then(|quote| value[1..].strip_suffix(quote)).unwrap_or(value)
}

/// C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cron_does_not_keep_is_told() {
        for (line, expected) in [
            ("A=b", None),
            ("A=\"b c\"", None),
            ("A=b#c", None),
            ("A=b # c", Some("a comment")),
            ("A=# c", Some("a comment")),
            ("A== b", Some("a second '='")),
            ("A='b '", Some("blanks")),
            ("A=\"'b'\"", Some("quotes")),
        ] {
            let found = lost(line, &setting(line).unwrap());
            assert_eq!(found.is_some(), expected.is_some(), "{line}");
            assert!(found.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{line}: {found:?}");
        }
    }

    #[test]
    fn reads_what_cron_reads() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("  A = b c  ", "A", "b c"),
            ("\tA\t=\tb\t", "A", "b"),
            ("\"A B\" = 'c  '", "A B", "c"),
            ("A=\"'b'\"", "A", "b"),
            ("A=\"  b\"", "A", "  b"),
            ("A=\"\"", "A", ""),
            ("A=b # c", "A", "b # c"),
            ("A=x-$(hostname)", "A", "x-$(hostname)"),
            ("A=it's", "A", "it's"),
            ("=b", "", "b"),
            ("A=b\r", "A", "b"),
        ] {
            let expected = Setting { name: name.to_owned(), value: value.to_owned() };
            assert_eq!(setting(line), Some(expected), "{line:?}");
        }
        for line in ["", "A", "A=", "A= ", "A b=c", "'A=b'", "A='b", "A='b' c", "A=\"", "0 * * * * root a=b"]
        {
            assert_eq!(setting(line), None, "{line:?}");
        }
        let long = format!("A={}", "x".repeat(996));
        assert_eq!(setting(&format!("{long}x")), setting(&long));
    }
}
