//! Texts that are kept in the repository and compared with what the programs say. `QS_BLESS=1` rewrites them.

use std::path::{Path, PathBuf};

/// A path below the repository's root.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Reads a file of the repository.
#[track_caller]
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares the file at `path` with what it should be, or makes it so.
#[track_caller]
pub fn check(path: &str, expected: &str) {
    if blessing() {
        std::fs::create_dir_all(root(path).parent().unwrap()).unwrap();
        std::fs::write(root(path), expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(root(path)).unwrap_or_default();
    let same = found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    assert!(
        found == expected,
        "{path} is not what the program says from line {} on; QS_BLESS=1 cargo test rewrites it\n  file:    {}\n  program: {}",
        same + 1,
        line(&found),
        line(expected),
    );
}

/// Whether the kept texts are to be rewritten.
pub fn blessing() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of a program")]
    std::env::var_os("QS_BLESS").is_some()
}
