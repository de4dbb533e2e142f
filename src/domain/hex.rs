//! Bytes as hexadecimal digits.

/// Two lower-case digits a byte. Read and written at every start, so without the machinery of `format!`.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_has_its_two_digits() {
        for byte in 0..=u8::MAX {
            assert_eq!(super::hex(&[byte]), format!("{byte:02x}"));
        }
    }
}
