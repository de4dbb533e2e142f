//! Byte sizes as people write them: `4096`, `64KiB`, `10MiB`, `1GB`.

/// What [`parse`] expects, for error messages.
pub const EXPECTED: &str = "a size such as 4096, 64KiB or 10MiB";

const UNITS: [(&str, u64); 9] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("B", 1),
];

/// Reads a size in bytes. `k` and `M` alone count in 1024s, as logrotate has them.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| upper.strip_suffix(unit).map(|digits| (digits, *factor)))
        .unwrap_or((&upper, 1));
    digits
        .trim()
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("expected {EXPECTED}"))
}

/// Writes a size so that [`parse`] reads it back, in the largest unit that divides it.
pub fn show(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_refuses_the_rest() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("10mib", 10_485_760),
            ("1MB", 1_000_000),
            ("2k", 2048),
            ("512 B", 512),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "ten", "-1", "1.5MiB", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text:?} must be refused");
        }
        assert_eq!(show(10 << 20), "10MiB");
        assert_eq!(show(1000), "1000");
        assert_eq!(show(0), "0");
    }
}
