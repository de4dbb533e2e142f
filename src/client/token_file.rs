//! The token on disk: the bare token in one file, as other tools `cat` it, and what is known about it beside it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bearer::{LONGEST_TEXT, bearer};
use super::credential_digest::CredentialDigest;
use super::iam::Login;
use super::identity::TokenIdentity;
use super::login_memory::TOLERANCE;
use super::token::{Token, moment};
use crate::domain::hex::hex;
use crate::files::{self, Durability, PRIVATE};
use crate::secret::Secret;
use crate::secret::file::{SecretFileError, SecretFiles};

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
    Token(Kept),
    /// No file, or an empty one.
    Missing,
    /// Something that is no token; it is treated as missing, with a warning.
    Broken(&'static str),
}

/// A token with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The token.
    pub token: Token,
    /// Whose it is and where it may go; none for a bare token of other tools.
    pub identity: Option<TokenIdentity>,
    /// The address of the login that it came from, where that is known.
    pub issuer: Option<String>,
    /// With which credential it was got, where that is known.
    pub credential: Option<CredentialDigest>,
}

/// Others can read the token file, so it must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "token file {0}: mode {mode:04o} lets others read it (hint: chmod 600 {0}, or --allow-insecure-permissions)",
    path.display()
)]
pub struct InsecureToken {
    /// The file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

/// What is known about the token in the file. Other tools may write it too, so only the digest must be there, and a
/// moment may be RFC 3339 or seconds since 1970. When it describes another token, because a script has replaced the
/// token, only whose the file is still counts.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_origin: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    identity: BTreeMap<String, String>,
}

impl Meta {
    fn identity(&self) -> Option<TokenIdentity> {
        let api_origin = self.api_origin.clone()?;
        Some(TokenIdentity { api_origin, parts: self.identity.clone() })
    }
}

/// The source of a token that a login of ours brought.
const LOGIN: &str = "login";

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
        self.beside(".lock")
    }

    /// Where rejected logins are remembered.
    pub fn memory_path(&self) -> PathBuf {
        self.beside(".login.json")
    }

    /// A file beside the token itself, so that two names of one token have one sidecar, one lock and one memory.
    fn beside(&self, suffix: &str) -> PathBuf {
        files::sibling(&files::resolve(&self.path).unwrap_or_else(|_| self.path.clone()), suffix)
    }

    fn meta_path(&self) -> PathBuf {
        self.beside(".meta.json")
    }

    /// Reads the token; what is said about it and is later than `now` is not believed.
    ///
    /// # Errors
    /// Only when others can read the file: everything else is a missing or broken token, which a login repairs.
    pub fn read(&self, now: Timestamp) -> Result<Stored, InsecureToken> {
        // A credential cannot be replaced, and a token is: it is never one.
        let files = SecretFiles { credentials: None, allow_insecure: self.allow_insecure };
        let mut file = match files.open(&self.path) {
            Ok(file) => file,
            Err(SecretFileError::Insecure { path, mode }) => return Err(InsecureToken { path, mode }),
            Err(error) if error.is_missing() => return Ok(Stored::Missing),
            Err(_) => return Ok(Stored::Broken("it cannot be opened")),
        };
        let mut bytes = Vec::new();
        if Read::by_ref(&mut file).take(LONGEST_TEXT as u64 + 1).read_to_end(&mut bytes).is_err() {
            return Ok(Stored::Broken("it cannot be read"));
        }
        let secret = match parse(&bytes) {
            Ok(Some(secret)) => secret,
            Ok(None) => return Ok(Stored::Missing),
            Err(reason) => return Ok(Stored::Broken(reason)),
        };
        if self.meta().is_none() && self.meta_path().exists() {
            // A power cut may leave it so. Without it, the token would be anybody's.
            return Ok(Stored::Broken("what is known about it stands beside it and cannot be read"));
        }
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        Ok(Stored::Token(self.kept(secret, modified.unwrap_or(Timestamp::UNIX_EPOCH), now)))
    }

    fn kept(&self, secret: Secret, modified: Timestamp, now: Timestamp) -> Kept {
        let meta = self.meta();
        let identity = meta.as_ref().and_then(Meta::identity);
        let meta = meta.filter(|meta| meta.token_sha256 == sha256(&secret));
        let ours = meta.as_ref().is_some_and(|meta| meta.source == LOGIN);
        let obtained_at = meta.as_ref().and_then(|meta| moment(&meta.obtained_at)).unwrap_or(modified);
        let stated = meta.as_ref().and_then(|meta| moment(&meta.expires_at));
        let token = if obtained_at.duration_since(now) > TOLERANCE {
            // A clock that was ahead wrote it: how old the token is, is not known.
            Token::found(secret, Timestamp::UNIX_EPOCH, None)
        } else if ours {
            // What the token itself says was counted when it was issued, by the clock of the server.
            Token { secret, obtained_at, expires_at: stated }
        } else {
            Token::found(secret, obtained_at, stated)
        };
        let meta = meta.filter(|_| ours);
        let issuer = meta.as_ref().map(|meta| meta.issuer.clone());
        Kept { token, identity, issuer, credential: meta.and_then(|meta| meta.credential) }
    }

    fn meta(&self) -> Option<Meta> {
        serde_json::from_slice(&std::fs::read(self.meta_path()).ok()?).ok()
    }

    /// Replaces the token and its sidecar: by the token that `login` brought.
    ///
    /// A reader in between, or a process that is killed there, must not take the token for one of the identity that the
    /// old sidecar tells. So a token of another identity than the last one's is written last, in place of none.
    pub fn write(&self, token: &Token, identity: &TokenIdentity, login: &Login) -> io::Result<()> {
        let meta = Meta {
            expires_at: token.expires_at.map(|at| at.to_string()).into(),
            obtained_at: token.obtained_at.to_string().into(),
            source: LOGIN.to_owned(),
            issuer: login.url.to_string(),
            token_sha256: sha256(&token.secret),
            credential: Some(CredentialDigest::of(login)),
            api_origin: Some(identity.api_origin.clone()),
            identity: identity.parts.clone(),
        };
        let line = Secret::new(format!("{}\n", token.secret.expose()));
        let write_token = || files::replace(&self.path, line.expose().as_bytes(), PRIVATE, Durability::Disk);
        if self.meta().is_some_and(|old| old.identity().as_ref() == Some(identity)) {
            write_token()?;
            return self.write_meta(&meta);
        }
        // An empty file, and not none: it keeps its owner.
        if self.path.exists() {
            files::replace(&self.path, b"", PRIVATE, Durability::Rename)?;
        }
        self.write_meta(&meta)?;
        write_token()
    }

    /// Writes down whose a bare token is. The caller holds the lock.
    pub fn adopt(&self, kept: &Kept, identity: &TokenIdentity) -> io::Result<()> {
        let token = &kept.token;
        let digest = sha256(&token.secret);
        let known = self.meta().filter(|meta| meta.token_sha256 == digest);
        let ours = known.as_ref().is_some_and(|meta| meta.source == LOGIN);
        let source = if ours { LOGIN } else { "adopted" }.to_owned();
        self.write_meta(&Meta {
            expires_at: token.expires_at.map(|at| at.to_string()).into(),
            obtained_at: token.obtained_at.to_string().into(),
            source,
            issuer: known.map(|meta| meta.issuer).unwrap_or_default(),
            token_sha256: digest,
            credential: None,
            api_origin: Some(identity.api_origin.clone()),
            identity: identity.parts.clone(),
        })
    }

    fn write_meta(&self, meta: &Meta) -> io::Result<()> {
        let json = serde_json::to_vec(meta).map_err(io::Error::other)?;
        files::replace(&self.meta_path(), &json, PRIVATE, Durability::Disk)
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

/// The token in a file's bytes.
fn parse(bytes: &[u8]) -> Result<Option<Secret>, &'static str> {
    bearer(std::str::from_utf8(bytes).map_err(|_| "it is no text")?)
}

fn sha256(secret: &Secret) -> String {
    hex(digest::digest(&digest::SHA256, secret.expose().as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use crate::client::iam::tests::login;
    use crate::client::token::jwt;
    use crate::config::call::LoginDialect;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    const NOW: i64 = 1_200;

    fn identity(api: &str) -> TokenIdentity {
        TokenIdentity::for_api(&api.parse().unwrap())
    }

    fn ours(expires_at: Option<i64>) -> Token {
        Token { secret: Secret::new("abc"), obtained_at: at(1_000), expires_at: expires_at.map(at) }
    }

    fn kept(file: &TokenFile, now: i64) -> Kept {
        match file.read(at(now)).unwrap() {
            Stored::Token(kept) => kept,
            other => panic!("a token, not {other:?}"),
        }
    }

    #[test]
    fn a_token_comes_back_with_what_was_known_about_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        assert_eq!(file.read(at(NOW)), Ok(Stored::Missing));
        let (login, mine) = (login(LoginDialect::PasswordV1), identity("https://api"));
        file.write(&ours(Some(1_900)), &mine, &login).unwrap();
        let found = kept(&file, NOW);
        assert_eq!((&found.token, found.identity.as_ref()), (&ours(Some(1_900)), Some(&mine)));
        assert!(found.credential.unwrap().is_of(&login));
        assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "abc\n");
        assert!(file.clear().unwrap() && !file.clear().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_token_beside_a_damaged_sidecar_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        let (login, mine) = (login(LoginDialect::PasswordV1), identity("https://api"));
        for damaged in ["", "{", "null", "[]", "{}", "{\"token_sha256\": 5}"] {
            file.write(&ours(Some(1_900)), &mine, &login).unwrap();
            std::fs::write(file.meta_path(), damaged).unwrap();
            assert!(matches!(file.read(at(NOW)), Ok(Stored::Broken(_))), "{damaged:?}");
        }
    }

    #[test]
    fn two_names_of_a_token_have_one_sidecar() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file.path, &link).unwrap();
        let other = TokenFile::new(&link, false);
        assert_eq!(
            [other.meta_path(), other.lock_path(), other.memory_path()],
            [file.meta_path(), file.lock_path(), file.memory_path()]
        );
    }

    #[test]
    fn a_token_of_ours_lives_as_its_sidecar_says_and_not_by_the_clock_of_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        let login = login(LoginDialect::PasswordV1);
        for expires_at in [Some(1_900), None] {
            let token = Token { secret: Secret::new(jwt(100, 1_000)), ..ours(expires_at) };
            file.write(&token, &identity("https://api"), &login).unwrap();
            assert_eq!(kept(&file, NOW).token, token);
        }
    }

    #[test]
    fn times_later_than_now_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        file.write(&ours(Some(1_900)), &identity("https://api"), &login(LoginDialect::PasswordV1)).unwrap();
        let found = kept(&file, 900).token;
        assert_eq!((found.obtained_at, found.expires_at), (Timestamp::UNIX_EPOCH, None));
        assert_eq!(kept(&file, 950).token, ours(Some(1_900)), "seconds are no other clock");
    }

    #[test]
    fn a_sidecar_of_another_token_tells_whose_the_file_is_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        let mine = identity("https://api");
        file.write(&ours(Some(1_900)), &mine, &login(LoginDialect::PasswordV1)).unwrap();
        files::replace(&file.path, b"new", PRIVATE, Durability::Rename).unwrap();
        let found = kept(&file, i64::from(u32::MAX));
        assert_eq!((found.token.secret.expose(), found.token.expires_at), ("new", None));
        assert_eq!((found.identity, found.credential, found.issuer), (Some(mine), None, None));
    }

    #[test]
    fn a_process_that_is_killed_while_it_writes_leaves_no_token_under_anothers_name() {
        // What is on disk after each step of `write`, and with another identity than the last one's.
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), false);
        let login = login(LoginDialect::PasswordV1);
        file.write(&ours(None), &identity("https://old"), &login).unwrap();
        std::fs::create_dir(dir.path().join("blocked")).unwrap();
        // The sidecar cannot be replaced: by then the old token is gone.
        std::fs::remove_file(file.meta_path()).unwrap();
        std::fs::create_dir_all(file.meta_path().join("x")).unwrap();
        let other = Token { secret: Secret::new("other"), ..ours(None) };
        assert!(file.write(&other, &identity("https://new"), &login).is_err());
        assert_eq!(file.read(at(NOW)), Ok(Stored::Missing));
    }

    #[test]
    fn a_bare_token_is_adopted_with_the_times_that_were_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), true);
        std::fs::write(&file.path, "abc").unwrap();
        let digest = sha256(&Secret::new("abc"));
        let meta = format!("{{\"expires_at\": 1900, \"obtained_at\": 1000, \"token_sha256\": \"{digest}\"}}");
        std::fs::write(file.meta_path(), meta).unwrap();
        let bare = kept(&file, NOW);
        assert_eq!((bare.token.expires_at, &bare.identity), (Some(at(1_900)), &None));
        file.adopt(&bare, &identity("https://api")).unwrap();
        let adopted = kept(&file, NOW);
        assert_eq!((adopted.token, adopted.identity), (bare.token, Some(identity("https://api"))));
    }

    #[test]
    fn a_sidecar_that_another_tool_wrote_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), true);
        std::fs::write(&file.path, "abc").unwrap();
        let digest = sha256(&Secret::new("abc"));
        let now = i64::from(u32::MAX);
        for (expires_at, expected) in
            [("1900", Some(at(1_900))), ("\"1970-01-01T00:31:40Z\"", Some(at(1_900))), ("null", None)]
        {
            let meta = format!("{{\"expires_at\": {expires_at}, \"token_sha256\": \"{digest}\"}}");
            std::fs::write(file.meta_path(), meta).unwrap();
            assert_eq!(kept(&file, now).token.expires_at, expected, "{expires_at}");
        }
        let meta = format!("{{\"token_sha256\": \"{digest}\", \"api_origin\": \"https://api\"}}");
        std::fs::write(file.meta_path(), meta).unwrap();
        assert_eq!(
            kept(&file, now).identity,
            Some(identity("https://api")),
            "it may say where the token goes"
        );
    }

    #[test]
    fn what_is_no_token_is_broken_and_never_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path().join("token"), true);
        let long = vec![b'x'; 17 * 1024];
        for bytes in [&b"a b"[..], b"a\0b", "\u{e4}".as_bytes(), &[0xff, 0xfe], &long] {
            std::fs::write(&file.path, bytes).unwrap();
            assert!(matches!(file.read(at(0)), Ok(Stored::Broken(_))), "{bytes:?}");
        }
        for bytes in ["", " \n", "Bearer ", "\u{feff}\n"] {
            std::fs::write(&file.path, bytes).unwrap();
            assert_eq!(file.read(at(0)), Ok(Stored::Missing), "{bytes:?}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = TokenFile::new(&path, false).read(at(NOW)).unwrap_err();
        assert_eq!(error.mode, 0o644);
        assert!(matches!(TokenFile::new(&path, true).read(at(NOW)), Ok(Stored::Token(_))));
    }
}
