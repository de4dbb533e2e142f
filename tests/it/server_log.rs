//! The daily files of a server's log: a directory that cannot have them, and one that goes away.

use std::path::Path;

use reqwest::Method;

use crate::support::apiserver::{ACCOUNT, Server, refused};
use crate::support::wait::until;

/// What all files of the log hold.
fn written(dir: &Path) -> String {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

#[test]
fn a_directory_that_cannot_have_a_log_is_named_with_its_key_and_a_fix() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("below");
    for at in [file.as_path(), &below, Path::new("/proc")] {
        let at = at.to_str().unwrap();
        let (code, stderr) = refused(&["serve", "--dev-iam"], &[ACCOUNT[0], ACCOUNT[1], ("QS_LOG__DIR", at)]);
        assert_eq!((code, stderr.lines().count()), (Some(73), 1), "{stderr}");
        assert!(stderr.starts_with("qs-apiserver: log.dir: ") && stderr.contains(at), "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_file_or_directory_is_taken_away_is_made_again_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("logs");
    let server = Server::start(&[ACCOUNT[0], ACCOUNT[1], ("QS_LOG__DIR", dir.to_str().unwrap())]);
    let take_file = || std::fs::remove_file(std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path());
    let take_dir = || std::fs::remove_dir_all(&dir);
    let takes: [(&str, &dyn Fn() -> std::io::Result<()>); 2] =
        [("/first", &take_file), ("/second", &take_dir)];
    for (path, take) in takes {
        until("it is written", async || written(&dir).contains("listening").then_some(())).await;
        take().unwrap();
        until("it is written again", async || {
            server.send(Method::GET, path, &[], "").await;
            written(&dir).contains(path).then_some(())
        })
        .await;
        std::fs::write(dir.join("marker"), "listening").unwrap();
        let told = "the log file was gone and is made again";
        until("it is told", async || written(&dir).contains(told).then_some(())).await;
        until("standard error has it", async || server.log().contains(told).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_made_again_is_told_on_standard_error() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("logs");
    let server = Server::start(&[ACCOUNT[0], ACCOUNT[1], ("QS_LOG__DIR", dir.to_str().unwrap())]);
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "in the way").unwrap();
    until("it is told", async || {
        server.send(Method::GET, "/lost", &[], "").await;
        server.log().contains("the log file is gone and cannot be made again").then_some(())
    })
    .await;
    std::fs::remove_file(&dir).unwrap();
    until("it is written again", async || {
        server.send(Method::GET, "/found", &[], "").await;
        written(&dir).contains("/found").then_some(())
    })
    .await;
    assert!(written(&dir).contains("lines of the log were dropped here"), "{}", written(&dir));
    let told = server.log().matches("cannot be made again").count();
    assert_eq!(told, 1, "{}", server.log());
}
