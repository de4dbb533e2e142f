//! FNV-1a: short digests that stay the same across versions and platforms, which std's hasher does not promise. Names of
//! tasks and of Kubernetes objects are made of them, so they may never change. Not for secrets.

/// The 32-bit digest.
pub fn fnv32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The 64-bit digest.
pub fn fnv64(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Mixes 64 bits so that each bit of the result hangs on every bit (the end of `SplitMix64`): numbers that are close
/// become numbers that are not.
pub fn mix64(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values() {
        // http://www.isthe.com/chongo/tech/comp/fnv/ lists them.
        assert_eq!((fnv32(*b""), fnv32(*b"a"), fnv32(*b"foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
        assert_eq!((fnv64(*b"a"), fnv64(*b"foobar")), (0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8));
    }

    #[test]
    fn the_first_numbers_of_splitmix64() {
        // Of the seed 0, as its authors' program prints them.
        let numbers = [1_u64, 2].map(|n| mix64(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
