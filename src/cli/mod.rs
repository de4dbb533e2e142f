//! L4 · The programs as seen from a shell: arguments in, text and exit code out. One folder per program.

pub mod call;
pub mod output;
