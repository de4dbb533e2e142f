//! Types of bodies (RFC 9110 §8.3.1), as far as a call must know them.

/// The type without its parameters, in lower case.
pub fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a type, given as its essence, is JSON: `application/json`, and the structured types of RFC 6839.
pub fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// Whether a text can be sent as a type: `type/subtype`, perhaps with parameters.
///
/// # Errors
/// What was expected.
pub fn check(text: &str) -> Result<(), String> {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = essence(text);
    let named = essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if named && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("expected a type such as text/csv or application/xml; charset=utf-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_their_essence() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/csv", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
            assert_eq!(is_json(&essence(text)), json, "{text}");
        }
        for text in ["", "csv", "text/", "/csv", "text/a b", "text/csv\n", "text/csv; x=é"] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }
}
