//! Where the token of each target is. No two share a file: a token goes only to the server that it was obtained for.

use std::path::{Path, PathBuf};

use crate::config::call::CallConfig;
use crate::config::{ConfigError, Loaded};
use crate::domain::failure::Failure;
use crate::files;

/// The token file: the one that is set, else one in `dir` with the target's name.
pub(super) fn of(loaded: &Loaded<CallConfig>, dir: &Path) -> PathBuf {
    match (&loaded.config.token.file, &loaded.target) {
        (Some(path), _) => path.clone(),
        (None, None) => dir.join("internal-token"),
        (None, Some(name)) => dir.join(format!("internal-token-{name}")),
    }
}

/// Refuses two targets with one token file; those without a credential have none.
///
/// # Errors
/// The second of them, where its file is set.
pub(super) fn check(all: &[Loaded<CallConfig>], dir: &Path) -> Result<(), Failure> {
    let mut seen: Vec<(PathBuf, String)> = Vec::new();
    for loaded in all.iter().filter(|loaded| !loaded.config.call.no_auth) {
        let path = of(loaded, dir);
        let place = real(&path);
        let name = loaded
            .target
            .as_ref()
            .map_or_else(|| "the unnamed target".to_owned(), |name| format!("target {name}"));
        if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == place) {
            let message = format!("{name} and {other} have one token file, {}", path.display());
            let hint = "leave token.file out, or name a file for each".to_owned();
            let problem = loaded.problem("token.file", message, Some(hint));
            return Err(ConfigError { problems: vec![problem] }.into());
        }
        seen.push((place, name));
    }
    Ok(())
}

/// The path without links in its directory, as far as that is there.
fn real(path: &Path) -> PathBuf {
    let dir = files::parent(path);
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    dir.join(path.file_name().unwrap_or_default())
}
