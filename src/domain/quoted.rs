//! Values of headers that are lists, whose items may have quoted texts (RFC 9110 §5.6.4).

/// The parts between these separators, but not between those inside quoted texts. A text that does not end goes to the
/// end.
pub fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|found: char| {
        let plain = !std::mem::take(&mut escaped);
        match found {
            '"' if plain => quoted = !quoted,
            '\\' if plain && quoted => escaped = true,
            _ => {}
        }
        found == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_whole() {
        for (text, parts) in [
            ("", &[""][..]),
            ("a,b", &["a", "b"]),
            (r#"a="x,y",b"#, &[r#"a="x,y""#, "b"]),
            (r#"a="x\",y",b"#, &[r#"a="x\",y""#, "b"]),
            (r#"a="x\\",b"#, &[r#"a="x\\""#, "b"]),
            (r#"a="x,b"#, &[r#"a="x,b"#]),
            (r"a\,b", &[r"a\", "b"]),
        ] {
            assert_eq!(outside_quotes(text, ','), parts, "{text}");
        }
    }
}
