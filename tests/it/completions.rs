//! What a real shell makes of a word and the Tab key, with the completions that the program prints.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::databases::{required, skipped};

const CALL: &str = env!("CARGO_BIN_EXE_qs-api-call");

/// What is typed, with a tab where it is pressed, and the arguments that the program gets.
const TYPED: &[(&str, &str)] = &[
    ("cront\tchec\t", "crontab check"),
    ("crontab check --js\t", "crontab check --json"),
    ("crontab check /etc/host\t", "crontab check /etc/host"),
    ("token refr\t--force\t", "token refresh --force-login"),
    ("config sh\t--js\t", "config show --json"),
    ("completions fi\t", "completions fish"),
    ("--jitter-\t", "--jitter-fixed"),
    ("--log-format js\t", "--log-format json"),
    ("--config /etc/passw\t", "--config /etc/passwd"),
];

/// The arguments that a program gets that is started by each line of `TYPED`, in a terminal of its own.
fn completed(shell: &str, begin: &str) -> Option<Vec<String>> {
    let there = |program: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        found.is_ok_and(|output| output.status.success())
    };
    if !there("script") || !there(shell.split(' ').next().unwrap()) {
        let name = shell.split(' ').next().unwrap();
        assert!(!required(name), "QS_TEST_REQUIRE names {name}: install it");
        skipped(&format!("completions in {name} (it is not installed)"));
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let shown = |args: &[&str]| Command::new(CALL).args(args).output().unwrap().stdout;
    std::fs::write(dir.path().join("qs-api-call.bash"), shown(&["completions", "bash"])).unwrap();
    std::fs::write(dir.path().join("_qs-api-call"), shown(&["completions", "zsh"])).unwrap();
    let home = dir.path().to_str().unwrap();
    let mut terminal = Command::new("script")
        .args(["-qec", shell, "/dev/null"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", home), ("TERM", "dumb"), ("PS1", "> ")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    writeln!(keys, "{}", begin.replace("DIR", home)).unwrap();
    for (typed, _) in TYPED {
        writeln!(keys, "qs-api-call {typed}").unwrap();
    }
    writeln!(keys, "exit").unwrap();
    let output = terminal.wait_with_output().unwrap();
    drop(keys);
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
    Some(text.lines().filter_map(|line| Some(line.split_once("ARGS=")?.1.trim_end().to_owned())).collect())
}

#[test]
fn bash_completes_at_every_level() {
    let begin = "qs-api-call() { printf 'AR''GS=%s\\n' \"$*\"; }; source DIR/qs-api-call.bash";
    if let Some(found) = completed("bash --norc --noprofile -i", begin) {
        assert_eq!(found, TYPED.iter().map(|(_, args)| *args).collect::<Vec<_>>());
    }
}

#[test]
fn zsh_completes_at_every_level() {
    let begin = "fpath=(DIR $fpath); autoload -Uz compinit; compinit -u -D; \
                 qs-api-call() { print \"AR\"\"GS=$*\" }";
    if let Some(found) = completed("zsh -f -i", begin) {
        assert_eq!(found, TYPED.iter().map(|(_, args)| *args).collect::<Vec<_>>());
    }
}

#[test]
fn fish_completes_at_every_level() {
    let name = "fish";
    let offered = |line: &str| {
        let script = format!("{CALL} completions fish | source; complete -C 'qs-api-call {line}'");
        let output = Command::new(name).args(["--no-config", "-c", &script]).output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    for (line, word) in
        [("cront", "crontab"), ("crontab chec", "check"), ("token refresh --forc", "--force-login")]
    {
        let Some(found) = offered(line) else {
            assert!(!required(name), "QS_TEST_REQUIRE names {name}: install it");
            return skipped("completions in fish (it is not installed)");
        };
        assert_eq!(found.split('\t').next(), Some(word), "{line}: {found}");
    }
}
