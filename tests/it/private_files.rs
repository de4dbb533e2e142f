//! What a server keeps is for its owner alone, whatever the umask was and whoever made it before.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::apiserver::{ACCOUNT, Server, command, refused};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// The modes of the files in a directory whose names begin like this.
fn modes(dir: &Path, begin: &str) -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), mode(&path)))
        .filter(|(name, _)| name.starts_with(begin))
        .collect();
    found.sort();
    found
}

#[test]
fn a_database_and_its_logs_are_made_for_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs/of/today");
    let mut server =
        Server::start_in(dir, &[ACCOUNT[0], ACCOUNT[1], ("QS_LOG__DIR", logs.to_str().unwrap())]);
    let dir = server.take_dir();
    let database = modes(dir.path(), "qs.db");
    assert_eq!(database.len(), 3, "{database:?}");
    assert!(database.iter().all(|(_, mode)| *mode == 0o600), "{database:?}");
    let written = modes(&logs, "qs-apiserver.");
    assert!(written.len() == 1 && written[0].1 == 0o600, "{written:?}");
    assert_eq!((mode(&logs), mode(&dir.path().join("logs"))), (0o700, 0o700));
}

#[test]
fn migrate_makes_a_database_for_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let migrated = command(&dir, &[]).arg("migrate").output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    assert_eq!(modes(dir.path(), ""), [("qs.db".to_owned(), 0o600)]);
}

#[test]
fn what_others_could_read_is_taken_from_them_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let open = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let mut server = Server::start_in(dir, &ACCOUNT);
    server.kill();
    let dir = server.take_dir();
    for name in ["qs.db", "qs.db-wal", "qs.db-shm"] {
        open(&dir.path().join(name));
    }
    for name in ["qs-apiserver.2026-01-01.log", "another.log"] {
        std::fs::write(logs.join(name), "x").unwrap();
        open(&logs.join(name));
    }
    let env = [ACCOUNT[0], ACCOUNT[1], ("QS_LOG__DIR", logs.to_str().unwrap())];
    let mut server = Server::start_in(dir, &env);
    let log = server.log();
    let dir = server.take_dir();
    for (name, mode) in modes(dir.path(), "qs.db") {
        assert_eq!(mode, 0o600, "{name}");
        assert!(
            log.lines().any(|line| line.contains("others could read it") && line.contains(&name)),
            "{log}"
        );
    }
    assert!(modes(&logs, "qs-apiserver.").iter().all(|(_, mode)| *mode == 0o600));
    assert!(log.contains("others could read logs"), "{log}");
    assert_eq!(modes(&logs, "another"), [("another.log".to_owned(), 0o644)], "it is somebody else's");
}

#[test]
fn a_private_key_that_a_url_names_is_a_secret_file() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    let written = Command::new("sh").args(["-c", "umask 022; echo key > \"$1\"", "sh"]).arg(&key).status();
    assert!(written.unwrap().success());
    let url = format!("mysql://root@127.0.0.1:1/qs?ssl-key={}", key.display());
    for args in [&["serve", "--dev-iam"][..], &["migrate"], &["migrate", "--check"]] {
        let (code, stderr) =
            refused(args, &[("QS_DATABASE__URL", &url), ("QS_REDIS__URL", "redis://127.0.0.1:1")]);
        assert_eq!((code, stderr.lines().count()), (Some(78), 1), "{stderr}");
        assert!(stderr.contains("mode 0644 lets others read it") && stderr.contains("chmod 600"), "{stderr}");
    }
}
