//! What a benchmark records in `docs/benchmarks.md`: a section of its own between two markers.

use std::path::Path;

/// Replaces the section `name` of the document; one without its markers gets them at its end, under `title`.
pub(crate) fn write(name: &str, title: &str, text: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let section = format!("{begin}\n{text}{end}");
    let old = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    let new = match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) => format!("{}{section}{}", &old[..from], &old[to + end.len()..]),
        _ => format!("{old}\n## {title}\n\n{section}\n"),
    };
    Ok(std::fs::write(path, new)?)
}
