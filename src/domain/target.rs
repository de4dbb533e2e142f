//! The name of a target: the server that a line calls when it is not the unnamed one.

use super::nearest::nearest;

/// Longest name.
const LONGEST: usize = 64;

/// Whether a name can be a target's. It becomes a part of file names and of environment names, where `-` is `_`: with
/// neither `_` nor capitals in it, no two names are the same there.
///
/// # Errors
/// What a name may contain.
pub fn check_target_name(name: &str) -> Result<(), String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if name.is_empty() || name.len() > LONGEST || name.starts_with('-') || !name.bytes().all(plain) {
        let fix = fixed(name).map(|name| format!("; write {name}")).unwrap_or_default();
        return Err(format!(
            "expected 1 to {LONGEST} lower-case letters, digits or '-', not beginning with '-'{fix}"
        ));
    }
    Ok(())
}

/// The nearest text that is a name.
fn fixed(name: &str) -> Option<String> {
    let lower = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let lower: String = lower.take(LONGEST).collect();
    let plain = lower.trim_matches('-');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// What to write instead of a target that is not there: `known` are those that are.
pub fn instead(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => {
            format!("no targets are configured: add targets.{name}.api.base_url to the configuration")
        }
        None => format!("the targets are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_file_name_and_one_of_a_kind_in_the_environment() {
        for name in ["a", "prod", "eu-1", "1", "a--b", &"a".repeat(64)] {
            assert_eq!(check_target_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "Prod", "a_b", "a.b", "a/b", "生产", &"a".repeat(65)] {
            assert!(check_target_name(name).is_err(), "{name}");
        }
        assert!(check_target_name("Prod_EU").unwrap_err().ends_with("; write prod-eu"));
    }
}
