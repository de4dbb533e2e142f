//! Reading lines of JSON of which some may be damaged: a power cut leaves zeros, a bad disk leaves anything, and one bad
//! line must hide no other one. Lines are bytes here, since a damaged one need not be text.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::de::DeserializeOwned;

/// Bytes of a history's end that are read at first: several lines.
const BLOCK: u64 = 4096;

/// The end of a history.
pub(super) struct End<T> {
    /// What the last line holds that can be read.
    pub last: Option<T>,
    /// Where the last whole line ends.
    pub whole: u64,
    /// Whether a part of another line follows.
    pub torn: bool,
}

impl<T: DeserializeOwned> End<T> {
    /// Reads the end of the file, and more of it while no line in it can be read.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut block = BLOCK;
        loop {
            let from = length.saturating_sub(block);
            let mut text = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
            file.read_exact_at(&mut text, from)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // Where the block does not begin with the file, its first line may be the end of one.
            let begin =
                if from == 0 { Some(0) } else { text[..whole].iter().position(|byte| *byte == b'\n') };
            let lines = begin.map_or(&[][..], |begin| &text[begin..whole]);
            let last = lines.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok());
            if last.is_some() || from == 0 {
                let end = from + whole as u64;
                return Ok(Self { last, whole: end, torn: end < length });
            }
            block = block.saturating_mul(8);
        }
    }
}

/// What the last `n` lines hold that can be read, oldest first, and how many lines among them cannot be. Blank lines are
/// none.
pub(super) fn last_lines<T: DeserializeOwned>(text: &[u8], n: usize) -> (Vec<T>, usize) {
    let (mut found, mut broken) = (Vec::new(), 0);
    for line in text.rsplit(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        if found.len() == n {
            break;
        }
        match serde_json::from_slice(line) {
            Ok(entry) => found.push(entry),
            Err(_) => broken += 1,
        }
    }
    found.reverse();
    (found, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The end of a file with this content, and its last two lines.
    fn read(content: &[u8]) -> (Option<u32>, u64, bool, (Vec<u32>, usize)) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let end = End::of(&file).unwrap();
        (end.last, end.whole, end.torn, last_lines(content, 2))
    }

    #[test]
    fn the_last_line_that_can_be_read_is_the_last_one() {
        for (content, last, lines) in [
            (&b""[..], None, (vec![], 0)),
            (b"1\n2\n3\n", Some(3), (vec![2, 3], 0)),
            (b"1\r\n2\r\n", Some(2), (vec![1, 2], 0)),
            (b"\xff\n1\n2\n", Some(2), (vec![1, 2], 0)),
            (b"1\n\xff\xfe\n2\n", Some(2), (vec![1, 2], 1)),
            (b"1\n2\ngarbage\n", Some(2), (vec![1, 2], 1)),
            (b"1\n2\n\0\0\0\n\n \n", Some(2), (vec![1, 2], 1)),
            (b"garbage\n", None, (vec![], 1)),
        ] {
            let (found, end, torn, found_lines) = read(content);
            assert_eq!((found, end, torn), (last, content.len() as u64, false), "{content:?}");
            assert_eq!(found_lines, lines, "{content:?}");
        }
    }

    #[test]
    fn a_torn_line_is_told_from_a_damaged_one() {
        assert_eq!(read(b"1\n2\n{\"a"), (Some(2), 4, true, (vec![1, 2], 1)));
        assert_eq!(read(b"1\nx\n\0\0"), (Some(1), 4, true, (vec![1], 2)));
        assert_eq!(read(b"torn"), (None, 0, true, (vec![], 1)));
    }

    #[test]
    fn damage_of_any_length_is_gone_back_over() {
        for length in [10, 4090, 4095, 4096, 4097, 40_000] {
            let content = [&b"1\n2\n"[..], &vec![0; length], b"\n"].concat();
            assert_eq!(read(&content).0, Some(2), "{length}");
            let content = [&b"1\n2\n"[..], &b"x\n".repeat(length)].concat();
            assert_eq!(read(&content).0, Some(2), "{length}");
        }
    }
}
