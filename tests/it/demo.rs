//! The demonstration, as a new user runs it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The demonstration in a temporary directory of its own. Without cargo's variables it takes the programs beside it.
fn demo(temporary: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qs-scheduler"));
    command.arg("demo").env("TMPDIR", temporary).env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn every_step_comes_out_as_it_must_and_nothing_is_left() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("Every step came out as it must"), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with(" ok ")).count(), 9, "{stdout}");
    assert!(stdout.contains("] API call successful (HTTP 200") && stdout.contains("code=100101"), "{stdout}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_demonstration_that_is_stopped_cleans_up_too() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo(temporary.path()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("qs-apiserver serves on"), "{line}");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap().to_owned();
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    // The server goes with it; the kernel may need a moment to close its socket.
    let gone = (0..1_000_000).any(|_| std::net::TcpStream::connect(&address).is_err());
    assert!(gone, "the server still listens on {address}");
}
