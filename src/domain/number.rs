//! Numbers as text, wherever they are read: in a path, a query, a body or a token.

use std::fmt::Display;
use std::str::FromStr;

/// A number in its one form: no sign but a minus, no zeros before it, no space around it. Whoever compares texts and
/// whoever compares numbers then find the same two equal.
pub fn exact<T: FromStr + Display>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(exact::<i64>("12"), Some(12));
        for bad in ["", "+1", "01", "-0", " 1", "1 ", "1.0", "1e3", "１", "1\0", "9223372036854775808"] {
            assert_eq!(exact::<i64>(bad), None, "{bad:?}");
        }
    }
}
