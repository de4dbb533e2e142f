//! Files that need each other: none of them can be read, moved or tested without the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{imports, module_of, sources};

/// For each module, the modules that its code uses.
type Uses = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

#[test]
fn no_two_files_need_each_other() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<(Vec<String>, String)> = sources(&src)
        .iter()
        .map(|file| (module_of(file.strip_prefix(&src).unwrap()), std::fs::read_to_string(file).unwrap()))
        .collect();
    assert_eq!(circles(&files), Vec::<String>::new());
}

#[test]
fn a_planted_circle_is_found() {
    let file = |module: &str, text: &str| (module.split("::").map(str::to_owned).collect(), text.to_owned());
    let tests_and_exports = [
        file("a", "mod b;\npub use b::{B, C};\npub struct A;"),
        file("a::b", "use super::A;\npub struct B(A);"),
        file("a::c", "use super::b::B;\n#[cfg(test)]\nmod tests { use crate::a::d::D; }"),
        file("a::d", "use crate::a::c::C;"),
    ];
    assert_eq!(circles(&tests_and_exports), Vec::<String>::new());
    let two = [file("a::b", "use super::c::C;"), file("a::c", "fn f(b: crate::a::b::B) {}")];
    assert_eq!(circles(&two), ["a::b and a::c need each other"]);
    let by_another = [file("a", "use d::E;"), file("b", "use crate::a::A;"), file("d", "use super::b::{B};")];
    assert_eq!(circles(&by_another), Vec::<String>::new(), "the root's `d` is no module of `a`");
    let three =
        [file("a", "use crate::b::B;"), file("b", "use crate::d::{D};"), file("d", "use crate::a::A;")];
    assert_eq!(circles(&three), ["a and b and d need each other"]);
}

fn circles(files: &[(Vec<String>, String)]) -> Vec<String> {
    let known: BTreeSet<&[String]> = files.iter().map(|(module, _)| module.as_slice()).collect();
    let uses: Uses = files
        .iter()
        .map(|(module, text)| {
            let named = imports(module, &without_tests_and_exports(text));
            let used = named.iter().filter_map(|path| deepest(&known, path));
            (module.clone(), used.filter(|used| used != module).collect())
        })
        .collect();
    let reach: Uses = uses.keys().map(|module| (module.clone(), reachable(&uses, module))).collect();
    let mut found = BTreeSet::new();
    for (module, reached) in reach.iter().filter(|(module, reached)| reached.contains(*module)) {
        let circle = reached.iter().filter(|other| reach[*other].contains(module));
        let names: Vec<String> = circle.map(|module| module.join("::")).collect();
        found.insert(format!("{} need each other", names.join(" and ")));
    }
    found.into_iter().collect()
}

/// The module in whose file a path ends: the longest known beginning of it.
fn deepest(known: &BTreeSet<&[String]>, path: &[String]) -> Option<Vec<String>> {
    (1..=path.len()).rev().map(|length| &path[..length]).find(|path| known.contains(path)).map(<[_]>::to_vec)
}

fn reachable(uses: &Uses, from: &[String]) -> BTreeSet<Vec<String>> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_vec()]);
    while let Some(module) = open.pop() {
        for next in uses.get(&module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

/// Tests stand at the end of a file and may use what they like; a `pub use` names what others shall find here.
fn without_tests_and_exports(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut exporting = false;
    for line in code.lines() {
        exporting |= line.starts_with("pub") && line.contains(" use ");
        if !exporting {
            lines.push(line);
        }
        exporting &= !line.ends_with(';');
    }
    lines.join("\n")
}
