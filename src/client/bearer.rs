//! The bearer token in a text, wherever that is from: a file, or the reply to a login.

use crate::secret::Secret;

/// Longest token that is read.
pub(super) const LONGEST: usize = 16 * 1024;

/// The token in `text`. White space and byte order marks around it and a leading `Bearer` are dropped; `None` when
/// nothing is left.
///
/// # Errors
/// Why it is no token, without repeating it.
pub(super) fn bearer(text: &str) -> Result<Option<Secret>, &'static str> {
    if text.len() > LONGEST {
        return Err("it is longer than 16 KiB");
    }
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let text = text.trim_matches(blank);
    let bare = match text.get(..6) {
        Some(word) if word.eq_ignore_ascii_case("bearer") && !text[6..].starts_with(|c| !blank(c)) => {
            text[6..].trim_start_matches(blank)
        }
        _ => text,
    };
    if bare.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("it holds characters that no token has");
    }
    Ok((!bare.is_empty()).then(|| Secret::new(bare)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_token_is_no_part_of_it() {
        for (text, expected) in [
            ("abc", Some("abc")),
            ("  abc \r\n", Some("abc")),
            ("\u{feff}abc\n", Some("abc")),
            ("Bearer abc\n", Some("abc")),
            ("\u{feff} bearer\t abc\u{feff}", Some("abc")),
            ("bearerabc", Some("bearerabc")),
            ("", None),
            (" \n\u{feff}", None),
            ("Bearer", None),
            ("Bearer ", None),
        ] {
            let secret = bearer(text).unwrap();
            assert_eq!(secret.as_ref().map(Secret::expose), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_without_repeating_it() {
        for text in ["a b", "a\0b", "a\nb", "ä", "Bearer a b", &"x".repeat(LONGEST + 1)] {
            assert!(bearer(text).is_err(), "{text:?}");
        }
    }
}
