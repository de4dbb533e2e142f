//! The business code of a reply: `0`, `200`, `"OK"`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A business code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// `0`, `200`, `100101`, also when written as a text, or as `200.0` by a server that has no whole numbers.
    Number(i64),
    /// `"in_progress"`.
    Word(String),
}

impl Code {
    /// Whether it is one of `codes`. Servers do not agree on the case of a word, so that does not count.
    pub fn is_in(&self, codes: &[Code]) -> bool {
        codes.iter().any(|code| match (self, code) {
            (Code::Number(one), Code::Number(other)) => one == other,
            (Code::Word(one), Code::Word(other)) => one.eq_ignore_ascii_case(other),
            _ => false,
        })
    }
}

impl FromStr for Code {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let text = text.trim();
        let zeros = |rest: &str| !rest.is_empty() && rest.bytes().all(|digit| digit == b'0');
        let whole = text.split_once('.').filter(|(_, rest)| zeros(rest)).map_or(text, |(whole, _)| whole);
        Ok(whole.parse().map_or_else(|_| Self::Word(text.to_owned()), Self::Number))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Number(number) => number.fmt(f),
            Code::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_as_number_and_as_text_and_in_any_case() {
        let code = |text: &str| text.parse::<Code>().unwrap();
        let accepted = [code("0"), code("OK")];
        for (text, is_in) in [
            ("0", true),
            (" 00000 ", true),
            ("0.0", true),
            ("-0.0", true),
            ("0.5", false),
            ("0.", false),
            (".0", false),
            ("ok", true),
            ("OK", true),
            ("1", false),
            ("fine", false),
        ] {
            assert_eq!(code(text).is_in(&accepted), is_in, "{text:?}");
        }
    }
}
