//! What the dynamic linker has to do to a program before it can begin, read from its ELF sections.

use std::path::Path;

use anyhow::{Context, ensure};

const RELA: u32 = 4;
const RELR: u32 = 19;
/// The type of a relative relocation.
const RELATIVE: u64 = if cfg!(target_arch = "aarch64") { 1027 } else { 8 };

/// How many words are written, and how many names looked up.
#[derive(Debug, Default)]
pub(crate) struct Relocations {
    /// Words that get the address at which the program was loaded added to them.
    pub(crate) words: u64,
    /// Names that are looked up in the libraries.
    pub(crate) names: u64,
}

impl Relocations {
    /// Reads a 64-bit little-endian ELF file.
    pub(crate) fn of(program: &Path) -> anyhow::Result<Self> {
        let file = std::fs::read(program)?;
        ensure!(file.starts_with(b"\x7fELF\x02\x01"), "{}: no 64-bit ELF", program.display());
        let (table, size, count) = (word(&file, 40)?, half(&file, 58)?, half(&file, 60)?);
        let mut relocations = Self::default();
        for section in (0..count).map(|number| table + number * size) {
            let kind = u32::try_from(word(&file, section + 4)? & u64::from(u32::MAX))?;
            let (at, length) = (word(&file, section + 24)?, word(&file, section + 32)?);
            match kind {
                RELA => {
                    for entry in (at..at + length).step_by(24) {
                        let relative = word(&file, entry + 8)? & u64::from(u32::MAX) == RELATIVE;
                        *if relative { &mut relocations.words } else { &mut relocations.names } += 1;
                    }
                }
                // An even word is an address; an odd one says which of the 63 words behind it are relocated too.
                RELR => {
                    for entry in (at..at + length).step_by(8) {
                        let bits = word(&file, entry)?;
                        let relocated = if bits & 1 == 0 { 1 } else { bits.count_ones() - 1 };
                        relocations.words += u64::from(relocated);
                    }
                }
                _ => {}
            }
        }
        Ok(relocations)
    }
}

fn word(file: &[u8], at: u64) -> anyhow::Result<u64> {
    bytes(file, at).map(u64::from_le_bytes)
}

fn half(file: &[u8], at: u64) -> anyhow::Result<u64> {
    bytes(file, at).map(u16::from_le_bytes).map(u64::from)
}

fn bytes<const N: usize>(file: &[u8], at: u64) -> anyhow::Result<[u8; N]> {
    let at = usize::try_from(at)?;
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().context("an ELF file that ends too early")
}
