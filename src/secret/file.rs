//! Files that hold a secret: who may read them, and the one way to read them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Secret;

/// Longest secret that is read.
const LONGEST: u64 = 16 * 1024;

/// Why a secret file is not used.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// Others can read it.
    #[error("{}: mode {mode:04o} lets others read it", path.display())]
    Insecure {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not there, cannot be read, or holds no secret.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SecretFileError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether there is such a file, and what is in it is no secret.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::InvalidData)
    }
}

/// How a process reads its secret files.
#[derive(Clone, Debug, Default)]
pub struct SecretFiles {
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// Accept files that others may read.
    pub allow_insecure: bool,
}

impl SecretFiles {
    /// Opens a file that only its owner can read.
    ///
    /// Two exceptions, both for files of root whose group may read them and whose others have no access at all:
    /// - Kubernetes: a secret volume gives files of mode 0440 or 0640, reached through the volume's `..data` link,
    ///   readable by the pod's own group.
    /// - systemd: a file of [`SecretFiles::credentials`]. It is given to the unit's user by an access list, whose mask
    ///   shows as the rights of the group.
    ///
    /// # Errors
    /// [`SecretFileError`]; a file that cannot be looked at is one that cannot be read.
    pub fn open(&self, path: &Path) -> Result<File, SecretFileError> {
        let unreadable = |source| SecretFileError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        match self.exposed_mode(path, &file).map_err(unreadable)? {
            Some(mode) if !self.allow_insecure => {
                Err(SecretFileError::Insecure { path: path.to_owned(), mode })
            }
            _ => Ok(file),
        }
    }

    /// The text of such a file, without the newline that editors and `echo` add and the byte order mark that some
    /// editors begin with; any other newline or blank belongs to the secret.
    ///
    /// # Errors
    /// [`SecretFileError`]; an empty file holds no secret.
    pub fn read(&self, path: &Path) -> Result<Secret, SecretFileError> {
        let file = self.open(path)?;
        let text = read_text(file)
            .map_err(|source| SecretFileError::Unreadable { path: path.to_owned(), source })?;
        Ok(Secret::new(text))
    }

    /// The mode of a file that others can read.
    fn exposed_mode(&self, path: &Path, file: &File) -> io::Result<Option<u32>> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A device such as /dev/null holds no secret, whoever may read it.
        if metadata.file_type().is_char_device() {
            return Ok(None);
        }
        let mode = metadata.permissions().mode() & 0o777;
        let (group, others) = (mode >> 3 & 0o7, mode & 0o7);
        if (group, others) == (0, 0) {
            return Ok(None);
        }
        let readable_by_group_of_root = (group, others) == (0o4, 0) && metadata.uid() == 0;
        let accepted = readable_by_group_of_root
            && (in_secret_volume(path)? || is_credential(path, self.credentials.as_deref())?);
        Ok((!accepted).then_some(mode))
    }
}

fn read_text(file: File) -> io::Result<String> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(invalid(format!("longer than {LONGEST} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("expected UTF-8 text".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let secret = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if secret.is_empty() {
        return Err(invalid("the file is empty".to_owned()));
    }
    Ok(secret.to_owned())
}

fn in_secret_volume(path: &Path) -> io::Result<bool> {
    let versioned = std::fs::canonicalize(path)?
        .components()
        .any(|part| part.as_os_str().to_string_lossy().starts_with(".."));
    Ok(versioned && path.with_file_name("..data").exists())
}

/// Whether the file is in the directory itself, not behind a link out of it, and only the directory's owner could have
/// put it there.
fn is_credential(path: &Path, directory: Option<&Path>) -> io::Result<bool> {
    let Some(directory) = directory else { return Ok(false) };
    let Ok(directory) = std::fs::canonicalize(directory) else { return Ok(false) };
    let inside = std::fs::canonicalize(path)?.parent() == Some(directory.as_path());
    Ok(inside && std::fs::metadata(&directory)?.permissions().mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_secret_is_the_text_without_its_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            SecretFiles::default().read(&path)
        };
        for (content, secret) in
            [("s", "s"), (" s \r\n", " s "), ("s\n\n", "s\n"), ("秘密\n", "秘密"), ("\u{feff}s\n", "s")]
        {
            assert_eq!(read(content.as_bytes()).unwrap().expose(), secret, "{content:?}");
        }
        for content in
            [&b""[..], b"\n", b"\r\n", b"\xff", b"\xff\xfes\0", b"\xef\xbb\xbf\n", &vec![b'a'; 16 * 1024 + 1]]
        {
            let error = read(content).unwrap_err();
            assert!(error.is_invalid() && !error.is_missing(), "{error}");
        }
        assert!(SecretFiles::default().read(&dir.path().join("missing")).unwrap_err().is_missing());
        for (path, reason) in [(dir.path(), "is a directory"), (Path::new("/dev/null"), "the file is empty")]
        {
            let error = SecretFiles::default().read(path).unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
        }
    }

    #[test]
    fn secret_modes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s").unwrap();
        for (mode, safe) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(SecretFiles::default().open(&path).is_ok(), safe, "{mode:o}");
        }
    }

    #[test]
    fn a_kubernetes_secret_volume_may_be_group_readable() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("..2026_11_20");
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("password"), "s").unwrap();
        std::os::unix::fs::symlink("..2026_11_20", dir.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/password", dir.path().join("password")).unwrap();
        let path = dir.path().join("password");
        let owned_by_root = std::fs::metadata(&path).unwrap().uid() == 0;
        for (mode, safe) in [(0o440, owned_by_root), (0o444, false), (0o460, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(SecretFiles::default().open(&path).is_ok(), safe, "{mode:o}");
        }
    }

    #[test]
    fn a_credential_of_systemd_may_show_the_mask_of_its_access_list() {
        let dir = tempfile::tempdir().unwrap();
        let (credentials, elsewhere) = (dir.path().join("credentials"), dir.path().join("elsewhere"));
        for place in [&credentials, &elsewhere] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("iam-password"), "s").unwrap();
        }
        let inside = credentials.join("iam-password");
        let safe = |path: &Path, directory: Option<&Path>| {
            let credentials = directory.map(Path::to_owned);
            SecretFiles { credentials, ..SecretFiles::default() }.open(path).is_ok()
        };
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let root = std::fs::metadata(&inside).unwrap().uid() == 0;
        if !root {
            drop(writeln!(io::stderr(), "skipped: the credentials of systemd that are accepted (not root)"));
        }
        for (directory, mode, accepted) in [
            (0o550, 0o440, root),
            (0o500, 0o640, root),
            (0o755, 0o440, root),
            (0o550, 0o400, true),
            (0o550, 0o460, false),
            (0o550, 0o450, false),
            (0o550, 0o444, false),
            (0o550, 0o404, false),
            (0o770, 0o440, false),
            (0o702, 0o440, false),
        ] {
            set(&inside, mode);
            set(&credentials, directory);
            assert_eq!(safe(&inside, Some(&credentials)), accepted, "{mode:o} in {directory:o}");
        }
        set(&credentials, 0o700);
        set(&inside, 0o440);
        let (outside, link) = (elsewhere.join("iam-password"), credentials.join("link"));
        set(&outside, 0o440);
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(!safe(&inside, None), "no directory is named");
        assert!(!safe(&inside, Some(&elsewhere)), "another directory is named");
        assert!(!safe(&inside, Some(dir.path())), "a directory above it is named");
        assert!(!safe(&inside, Some(&dir.path().join("missing"))), "what is named is not there");
        assert!(!safe(&link, Some(&credentials)), "a link leads out of it");
        if root {
            std::os::unix::fs::chown(&inside, Some(65_534), None).unwrap();
            assert!(!safe(&inside, Some(&credentials)), "its owner is not root");
        }
    }
}
