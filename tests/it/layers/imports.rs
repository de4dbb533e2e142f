//! What a source file names of this crate: read from its text, since the compiler does not tell.

use std::path::{Path, PathBuf};

/// Every `.rs` file below `dir`.
pub(super) fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module of a file below `src`: `cli/call/run.rs` is `cli`, `call`, `run`, and `cli/mod.rs` is `cli`.
pub(super) fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The whole path, from the crate's root, of everything that the code of `module` names by `crate::`, `super::` or
/// `self::`. A module inside the file is taken for the file itself.
pub(super) fn imports(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, prefix) in ["crate::", "super::", "self::"].iter().flat_map(|word| code.match_indices(word)) {
        let before = &code[..at];
        if before.ends_with(is_word) || before.ends_with("super::") {
            continue;
        }
        let after = code[at..].trim_start_matches("super::");
        let (ups, after) = match prefix {
            "super::" => ((code.len() - at - after.len()) / "super::".len(), after),
            "self::" => (0, &code[at + prefix.len()..]),
            _ => (module.len(), &code[at + prefix.len()..]),
        };
        let base = &module[..module.len().saturating_sub(ups)];
        found.extend(paths(after).into_iter().map(|path| [base, &path].concat()));
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The paths that `text` begins with: one, or those of a `{…}` group.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return members(group).into_iter().flat_map(paths).collect();
    }
    if text.starts_with('*') {
        return vec![vec!["*".to_owned()]];
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) => paths(rest).into_iter().map(|path| [vec![first.to_owned()], path].concat()).collect(),
        None => vec![vec![first.to_owned()]],
    }
}

/// The members of a group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|member| !member.trim().is_empty());
    found
}
