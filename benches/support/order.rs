//! The order of the functions of a call, as a script for the linker: made of the names of those that calls enter, as
//! callgrind saw them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;

/// Where the script is, beside the program that it is for.
pub(crate) const SCRIPT: &str = "src/bin/qs-api-call.ld";

/// Names that hundreds of functions share, few of which a call enters.
const SHARED: [&str; 1] = ["_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h"];

/// The patterns of the functions that a run entered: `callgrind` is what it wrote, with names as the linker knows them.
pub(crate) fn patterns(callgrind: &Path, program: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(callgrind)?;
    let program = program.to_string_lossy();
    // A name is written out once, and is a number in brackets from then on.
    let (mut objects, mut functions) = (BTreeMap::new(), BTreeMap::new());
    let (mut ours, mut found) = (false, BTreeSet::new());
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let (number, name) = value.split_once(' ').unwrap_or((value, ""));
        let names = match key {
            "ob" | "cob" => &mut objects,
            "fn" | "cfn" => &mut functions,
            _ => continue,
        };
        if !name.is_empty() {
            names.insert(number, name);
        }
        let name = *names.get(number).context("callgrind names what it has not introduced")?;
        match key {
            "ob" => ours = name == program,
            "fn" if ours => found.extend(pattern(name)),
            _ => {}
        }
    }
    Ok(found)
}

/// The script. What every call enters lies before what only one kind of call does.
pub(crate) fn script(calls: &[BTreeSet<String>]) -> String {
    let mut written = BTreeSet::new();
    let mut lines = Vec::new();
    for patterns in calls {
        for pattern in patterns {
            if written.insert(pattern) {
                // `.text.NAME`, or `.text.unlikely.NAME`; copies have a number behind the name.
                lines.push(format!("    *(.text*.{pattern}*)\n"));
            }
        }
    }
    format!(
        "/* The functions that a call enters, for the linker to put together. Written by\n   \
         make order */\n\
         SECTIONS\n{{\n  .text :\n  {{\n    *(.text.main)\n{}    *(.text .text.*)\n  }}\n}}\nINSERT BEFORE .init;\n",
        lines.concat()
    )
}

/// A mangled name without the hashes in it, so that it is the same after a change of version; `None` for what is not
/// Rust's, or no function's own name.
fn pattern(name: &str) -> Option<String> {
    // Callgrind counts recursion behind an apostrophe, and the compiler copies behind a point.
    let name = name.split('\'').next()?.split(".llvm.").next()?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('.').unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    if !name.chars().all(plain) || SHARED.iter().any(|shared| name.starts_with(shared)) {
        return None;
    }
    if let Some(path) = name.strip_prefix("_ZN") {
        let end = path.len().checked_sub("17h0123456789abcdefE".len())?;
        return path.is_char_boundary(end).then(|| format!("_ZN{}17h{}E", &path[..end], "?".repeat(16)));
    }
    // `Cs` and up to the next `_` is which build of a crate it is.
    let mut parts = name.strip_prefix("_R")?.split("Cs");
    let mut pattern = format!("_R{}", parts.next()?);
    for part in parts {
        let rest = part.split_once('_').map_or(part, |(_, rest)| rest);
        pattern.push_str("Cs*_");
        pattern.push_str(rest);
    }
    Some(pattern)
}
