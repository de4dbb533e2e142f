//! SHA-256 of files, and the manifest of a release (`sha256sum` writes it).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use ring::digest::{Context, SHA256, digest};

use super::error::DeployError;
use crate::domain::hex::hex;

/// The digest of some bytes.
pub fn of(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The digest of a file.
pub fn of_file(path: &Path) -> io::Result<String> {
    copy(&mut File::open(path)?, &mut io::sink())
}

/// Copies, and gives the digest of what was copied.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 64 * 1024]);
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(hex(context.finish().as_ref())),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(&buffer[..length]);
        to.write_all(&buffer[..length])?;
    }
}

/// The lines of a `SHA256SUMS`.
#[derive(Clone, Debug)]
pub struct Manifest(Vec<(String, String)>);

impl Manifest {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or a line is not `digest  name`.
    pub fn read(path: &Path) -> Result<Self, DeployError> {
        let text = std::fs::read_to_string(path).map_err(DeployError::io(path))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty()).map(line_of);
        let wrong = || format!("{}: a line that is not `sha256  name`", path.display());
        lines.collect::<Option<_>>().map(Self).ok_or_else(|| DeployError::Manifest(wrong()))
    }

    /// The digest of a file by its name: the directories need not be those of the release.
    ///
    /// # Errors
    /// The manifest does not name it, or names two.
    pub fn digest(&self, path: &Path) -> Result<&str, DeployError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut named = self.0.iter().filter(|(_, entry)| entry.rsplit('/').next() == Some(&*name));
        let Some((first, _)) = named.next() else {
            return Err(DeployError::Manifest(format!("it does not name {name}")));
        };
        if named.next().is_none() {
            return Ok(first);
        }
        let whole = |(_, entry): &&(String, String)| path.ends_with(entry.trim_start_matches("./"));
        let alike = |(digest, entry): &(String, String)| digest == first || !entry.ends_with(&*name);
        match self.0.iter().find(whole) {
            Some((digest, _)) => Ok(digest),
            None if self.0.iter().all(alike) => Ok(first),
            None => Err(DeployError::Manifest(format!("it names {name} more than once"))),
        }
    }

    /// Whether it has a file of this name.
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(_, entry)| entry.rsplit('/').next() == Some(name))
    }

    /// Compares the digest of a file.
    ///
    /// # Errors
    /// They differ, or the manifest does not name the file.
    pub fn expect(&self, path: &Path, found: &str) -> Result<(), DeployError> {
        let expected = self.digest(path)?;
        if expected == found {
            return Ok(());
        }
        let what = format!("{} has the digest {found}, expected {expected}", path.display());
        Err(DeployError::Manifest(what))
    }
}

fn line_of(line: &str) -> Option<(String, String)> {
    let (digest, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && !name.is_empty()).then(|| (digest.to_ascii_lowercase(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_those_of_sha256sum() {
        assert_eq!(of(b""), EMPTY);
        assert_eq!(copy(&mut &b"abc"[..], &mut io::sink()).unwrap(), of(b"abc"));
    }

    #[test]
    fn a_manifest_is_asked_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("SHA256SUMS");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Manifest::read(&path)
        };
        let manifest = read(&format!("{EMPTY}  crontab/qs-scheduler\n{EMPTY} *./qs-api-call\n")).unwrap();
        assert!(manifest.expect(Path::new("/up/qs-scheduler"), EMPTY).is_ok());
        assert!(manifest.expect(Path::new("qs-api-call"), EMPTY).is_ok());
        assert!(manifest.expect(Path::new("qs-api-call"), &of(b"x")).is_err());
        assert!(manifest.expect(Path::new("scheduler"), EMPTY).is_err());
        let other = of(b"x");
        let twice = read(&format!("{EMPTY}  a/f\n{other}  b/f\n")).unwrap();
        assert!(twice.digest(Path::new("/c/f")).is_err());
        assert_eq!(twice.digest(Path::new("/up/b/f")).unwrap(), other);
        assert!(read("nonsense\n").is_err());
        assert!(Manifest::read(&dir.path().join("none")).is_err());
    }
}
