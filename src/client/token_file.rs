//! The token on disk: the bare token in one file, as other tools `cat` it, and what is known about it beside it.

use std::io::{self, Read};
use std::path::PathBuf;

use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::token::{Token, moment};
use crate::domain::hex::hex;
use crate::files::{self, Durability, PRIVATE};
use crate::secret::Secret;
use crate::secret::file::{SecretFileError, SecretFiles};

/// Longest token that is read.
const LONGEST: u64 = 16 * 1024;

/// A token file with its sidecar `<file>.meta.json` and its lock `<file>.lock`.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// Where it is.
    pub path: PathBuf,
    allow_insecure: bool,
}

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A token.
    Token(Token),
    /// No file, or an empty one.
    Missing,
    /// Something that is no token; it is treated as missing, with a warning.
    Broken(&'static str),
}

/// Others can read the token file, so it must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "token file {0}: mode {mode:04o} lets others use the token (hint: chmod 600 {0}, or --allow-insecure-permissions)",
    path.display()
)]
pub struct InsecureToken {
    /// The file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

/// What is known about the token in the file; ignored when it describes another token. Other tools may write it too,
/// so only the digest must be there, and a moment may be RFC 3339 or seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    #[serde(default)]
    expires_at: Value,
    #[serde(default)]
    obtained_at: Value,
    #[serde(default)]
    source: String,
    #[serde(default)]
    issuer: String,
    token_sha256: String,
}

impl TokenFile {
    /// The token file at `path`.
    pub fn new(path: impl Into<PathBuf>, allow_insecure: bool) -> Self {
        Self { path: path.into(), allow_insecure }
    }

    /// Makes the directory of the token, if it is not there. The system's has the configuration of every user in it, so
    /// root's is open to all: the token and what is beside it are private themselves.
    pub fn create_directory(&self) -> io::Result<()> {
        let mode = if files::is_root() { 0o755 } else { 0o700 };
        files::create_dir(files::parent(&self.path), mode)
    }

    /// The lock that a process holds while it logs in. It lives beside the token.
    pub fn lock_path(&self) -> PathBuf {
        files::sibling(&self.path, ".lock")
    }

    /// Where rejected logins are remembered.
    pub fn memory_path(&self) -> PathBuf {
        files::sibling(&self.path, ".login.json")
    }

    fn meta_path(&self) -> PathBuf {
        files::sibling(&self.path, ".meta.json")
    }

    /// Reads the token.
    ///
    /// # Errors
    /// Only when others can read the file: everything else is a missing or broken token, which a login repairs.
    pub fn read(&self) -> Result<Stored, InsecureToken> {
        // A credential cannot be replaced, and a token is: it is never one.
        let files = SecretFiles { credentials: None, allow_insecure: self.allow_insecure };
        let mut file = match files.open(&self.path) {
            Ok(file) => file,
            Err(SecretFileError::Insecure { path, mode }) => return Err(InsecureToken { path, mode }),
            Err(error) if error.is_missing() => return Ok(Stored::Missing),
            Err(_) => return Ok(Stored::Broken("it cannot be opened")),
        };
        let mut bytes = Vec::new();
        if Read::by_ref(&mut file).take(LONGEST + 1).read_to_end(&mut bytes).is_err() {
            return Ok(Stored::Broken("it cannot be read"));
        }
        let secret = match parse(&bytes) {
            Ok(Some(secret)) => secret,
            Ok(None) => return Ok(Stored::Missing),
            Err(reason) => return Ok(Stored::Broken(reason)),
        };
        let meta = self.meta().filter(|meta| meta.token_sha256 == sha256(&secret));
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified =
            modified.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let obtained_at = meta.as_ref().and_then(|meta| moment(&meta.obtained_at)).unwrap_or(modified);
        Ok(Stored::Token(Token::new(secret, obtained_at, meta.and_then(|meta| moment(&meta.expires_at)))))
    }

    fn meta(&self) -> Option<Meta> {
        serde_json::from_slice(&std::fs::read(self.meta_path()).ok()?).ok()
    }

    /// Replaces the token, then its sidecar: a reader in between sees a sidecar that does not match, and ignores it.
    pub fn write(&self, token: &Token, issuer: &str) -> io::Result<()> {
        let meta = Meta {
            expires_at: token.expires_at.map(|at| at.to_string()).into(),
            obtained_at: token.obtained_at.to_string().into(),
            source: "login".to_owned(),
            issuer: issuer.to_owned(),
            token_sha256: sha256(&token.secret),
        };
        let line = Secret::new(format!("{}\n", token.secret.expose()));
        files::replace(&self.path, line.expose().as_bytes(), PRIVATE, Durability::Disk)?;
        let json = serde_json::to_vec(&meta).map_err(io::Error::other)?;
        files::replace(&self.meta_path(), &json, PRIVATE, Durability::Rename)
    }

    /// Removes token, sidecar and login memory. Returns whether there was a token.
    pub fn clear(&self) -> io::Result<bool> {
        // A link to the token is a decision about its place, and stays.
        let existed = files::remove(&files::resolve(&self.path)?)?;
        files::remove(&self.meta_path())?;
        files::remove(&self.memory_path())?;
        Ok(existed)
    }
}

/// The token in a file's bytes: white space around it and a leading `Bearer ` are dropped.
fn parse(bytes: &[u8]) -> Result<Option<Secret>, &'static str> {
    if bytes.len() as u64 > LONGEST {
        return Err("it is longer than 16 KiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?.trim();
    let bare = match text.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("bearer ") => text[7..].trim_start(),
        _ => text,
    };
    if bare.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("it holds characters that no token has");
    }
    Ok((!bare.is_empty()).then(|| Secret::new(bare)))
}

fn sha256(secret: &Secret) -> String {
    hex(digest::digest(&digest::SHA256, secret.expose().as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_token_comes_back_with_what_was_known_about_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        assert_eq!(file.read(), Ok(Stored::Missing));
        let token = Token::new(Secret::new("abc"), at(1_000), Some(at(1_900)));
        file.write(&token, "https://iam").unwrap();
        assert_eq!(file.read(), Ok(Stored::Token(token)));
        assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "abc\n");
        assert!(file.clear().unwrap() && !file.clear().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sidecar_of_another_token_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        file.write(&Token::new(Secret::new("old"), at(1_000), Some(at(1_900))), "i").unwrap();
        files::replace(&file.path, b"new", PRIVATE, Durability::Rename).unwrap();
        let Stored::Token(token) = file.read().unwrap() else { panic!("a token") };
        assert_eq!((token.secret.expose(), token.expires_at), ("new", None));
    }

    #[test]
    fn a_sidecar_that_another_tool_wrote_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), true);
        std::fs::write(&file.path, "abc").unwrap();
        let digest = sha256(&Secret::new("abc"));
        for (expires_at, expected) in
            [("1900", Some(at(1_900))), ("\"1970-01-01T00:31:40Z\"", Some(at(1_900))), ("null", None)]
        {
            let meta = format!("{{\"expires_at\": {expires_at}, \"token_sha256\": \"{digest}\"}}");
            std::fs::write(file.meta_path(), meta).unwrap();
            let Stored::Token(token) = file.read().unwrap() else { panic!("a token") };
            assert_eq!(token.expires_at, expected, "{expires_at}");
        }
    }

    #[test]
    fn what_is_no_token_is_broken_and_never_a_crash() {
        let long = "x".repeat(17 * 1024);
        for (text, expected) in [
            ("abc", Some("abc")),
            ("  abc \r\n", Some("abc")),
            ("Bearer abc\n", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("", None),
            (" \n", None),
            ("Bearer ", None),
        ] {
            let secret = parse(text.as_bytes()).unwrap();
            let found = secret.as_ref().map(Secret::expose);
            // `Bearer ` alone is trimmed to `Bearer`, which could be a token.
            assert!(found == expected || text == "Bearer ", "{text:?}: {found:?}");
        }
        for bytes in
            ["a b", "a\0b", "a\nb", "ä", &long].map(str::as_bytes).into_iter().chain([&[0xff, 0xfe][..]])
        {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = TokenFile::new(&path, false).read().unwrap_err();
        assert_eq!(error.mode, 0o644);
        assert!(matches!(TokenFile::new(&path, true).read(), Ok(Stored::Token(_))));
    }
}
