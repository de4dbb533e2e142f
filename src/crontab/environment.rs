//! Settings in a crontab (`NAME = value`), read as Debian's cron reads them (`env.c` of 3.0pl1).

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, without quotes.
    pub name: String,
    /// Its value, without quotes. Nothing in it is expanded.
    pub value: String,
}

/// Longest name and value together with the `=` between them, in bytes.
pub const MAX_SETTING: usize = 997;

/// Reads a line as a setting. None when cron would try it as an entry instead: there is no `=` where one should be, a
/// quote is not closed, or nothing stands behind the `=`.
pub fn setting(line: &str) -> Option<Setting> {
    let line = line.trim_start_matches([' ', '\t']);
    let (name, rest) = name(line)?;
    let rest = rest.trim_start_matches(is_space).strip_prefix('=')?.trim_start_matches(is_space);
    let value = value(rest)?;
    (name.len() + 1 + value.len() <= MAX_SETTING)
        .then(|| Setting { name: name.to_owned(), value: value.to_owned() })
}

fn name(line: &str) -> Option<(&str, &str)> {
    if let Some(quote) = line.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (name, rest) = line[1..].split_once(quote)?;
        return (!name.contains('=')).then_some((name, rest));
    }
    let end = line.find(|c| is_space(c) || c == '=')?;
    Some(line.split_at(end))
}

fn value(text: &str) -> Option<&str> {
    match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let (value, rest) = text[1..].split_once(quote)?;
            rest.chars().all(is_space).then_some(value)
        }
        _ => Some(text.trim_end_matches(is_space)),
    }
}

/// C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_cron_reads() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("  A = b c  ", "A", "b c"),
            ("\tA\t=\tb\t", "A", "b"),
            ("\"A B\" = 'c  '", "A B", "c  "),
            ("A=\"\"", "A", ""),
            ("A=b # c", "A", "b # c"),
            ("A=x-$(hostname)", "A", "x-$(hostname)"),
            ("A=it's", "A", "it's"),
            ("=b", "", "b"),
            ("A=b\r", "A", "b"),
        ] {
            assert_eq!(
                setting(line),
                Some(Setting { name: name.to_owned(), value: value.to_owned() }),
                "{line:?}"
            );
        }
        for line in
            ["", "A", "A=", "A= ", "A b=c", "'A=b'", "A='b", "A='b' c", "A=\"", "0 * * * * root a=b", "# A=b"]
        {
            assert_eq!(
                setting(line).map(|setting| setting.name),
                None.filter(|_: &String| line != "# A=b"),
                "{line:?}"
            );
        }
        let long = format!("A={}", "x".repeat(995));
        assert!(setting(&long).is_some());
        assert_eq!(setting(&format!("{long}x")), None);
    }
}
