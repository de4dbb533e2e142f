//! The bearer token in a text, wherever that is from: a file, or the reply to a login.

use crate::secret::Secret;

/// Longest token that is taken from anywhere: what a login brings and what a file holds have one bound, so that no token
/// is written that is not read again.
const LONGEST: usize = 16 * 1024;
/// Longest text that is looked at: a token and what stands around it.
pub(super) const LONGEST_TEXT: usize = LONGEST + 1024;

/// The token in `text`. White space and byte order marks around it and a leading `Bearer` are dropped; `None` when
/// nothing is left.
///
/// # Errors
/// Why it is no token, without repeating it.
pub(super) fn bearer(text: &str) -> Result<Option<Secret>, &'static str> {
    const TOO_LONG: &str = "it is longer than 16 KiB, which is the longest token that is used";
    if text.len() > LONGEST_TEXT {
        return Err(TOO_LONG);
    }
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let text = text.trim_matches(blank);
    let bare = match text.get(..6) {
        Some(word) if word.eq_ignore_ascii_case("bearer") && !text[6..].starts_with(|c| !blank(c)) => {
            text[6..].trim_start_matches(blank)
        }
        _ => text,
    };
    if bare.len() > LONGEST {
        return Err(TOO_LONG);
    }
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
    fn a_token_is_as_long_in_a_file_as_in_a_reply() {
        let longest = "x".repeat(LONGEST);
        for text in [longest.clone(), format!("{longest}\n"), format!("Bearer {longest} \r\n")] {
            assert_eq!(bearer(&text).unwrap().unwrap().expose(), longest);
        }
    }

    #[test]
    fn what_is_no_token_is_told_without_repeating_it() {
        for text in [
            "a b",
            "a\0b",
            "a\nb",
            "ä",
            "Bearer a b",
            &"x".repeat(LONGEST + 1),
            &" ".repeat(LONGEST_TEXT + 1),
        ] {
            assert!(bearer(text).is_err(), "{text:?}");
        }
    }
}
