//! The verdict of the host's own cron about a file, before it is placed.
//!
//! The real daemon is started for a moment where it sees nothing of the host: in a mount namespace of its own, whose
//! `/etc/cron.d` holds the one file, with a `/dev/log` that is read here. Having read its crontabs, cron says so; what
//! it said before that is its verdict.
//!
//! Nothing of the file can run: every command is replaced by one of the same length that does nothing, `@reboot` lines
//! are skipped because cron finds the mark of a start that has been, and cron is killed before a minute begins.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixDatagram;

use super::cron_log::{Said, said_about};
use super::error::DeployError;
use super::host::Host;
use super::process;
use super::stop::Stop;
use crate::clock::Clock;
use crate::crontab::file::{Crontab, Line};
use crate::files::{self, Durability};

/// How long cron may live, in seconds.
const LIFE: i64 = 8;

/// Builds the mount namespace and becomes cron. `$STAGE` holds `crontab`, `empty` and the socket `log`.
const SCRIPT: &str = r#"
set -eu
umask 022
small() { mount -t tmpfs -o mode=0755,size=64k tmpfs "$1"; }
mkdir "$STAGE/dev" "$STAGE/cron.d"
small "$STAGE/dev"
: > "$STAGE/dev/null"
mount --bind /dev/null "$STAGE/dev/null"
: > "$STAGE/dev/log"
mount --bind "$STAGE/log" "$STAGE/dev/log"
mount -t tmpfs -o mode=0755,size=32m tmpfs "$STAGE/cron.d"
cp "$STAGE/crontab" "$STAGE/cron.d/$NAME"
chmod 644 "$STAGE/cron.d/$NAME"
mount --bind "$STAGE/cron.d" /etc/cron.d
if [ -e /etc/crontab ]; then mount --bind "$STAGE/empty" /etc/crontab; fi
if [ -n "$PASSWD" ]; then mount --bind "$PASSWD" /etc/passwd; fi
if [ -d /var/spool/cron ]; then small /var/spool/cron; mkdir -m 1730 /var/spool/cron/crontabs; fi
mount --rbind "$STAGE/dev" /dev
[ -L /var/run ] || small /var/run
small /run
: > /run/crond.reboot
exec timeout -s KILL "$LIFE" "$CRON" -f
"#;

/// What the host's cron says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It reads it without a complaint.
    Accepted,
    /// It refuses it, in its own words.
    Refused(Vec<String>),
    /// It could not be asked, and why.
    Unavailable(String),
}

/// Asks the host's cron. `dir` is a private directory that may be filled.
pub(super) async fn ask(
    host: &Host,
    dir: &Path,
    name: &str,
    (crontab, source): (&Crontab, &[u8]),
    clock: &dyn Clock,
    stop: &mut Stop,
) -> Result<Verdict, DeployError> {
    let unavailable = |why: &str| Ok(Verdict::Unavailable(why.to_owned()));
    if !files::is_root() {
        return unavailable("only root can give cron a world of its own");
    }
    let (Some(unshare), Some(cron)) = (host.tool("unshare"), host.tool("cron")) else {
        return unavailable("cron or unshare is not installed");
    };
    let Some(harmless) = harmless(crontab, source) else {
        return unavailable("a line cannot be made harmless");
    };
    // A directory for this alone, so that nothing of an earlier question is in the way.
    let world = dir.join("rehearsal");
    files::remove_dir(&world).map_err(DeployError::io(&world))?;
    files::create_dir(&world, 0o700).map_err(DeployError::create(&world))?;
    for (file, content) in [("crontab", harmless.as_slice()), ("empty", b"")] {
        let path = world.join(file);
        files::replace(&path, content, files::PRIVATE, Durability::Rename).map_err(DeployError::io(&path))?;
    }
    // It must be dead before the minute is over, for a new one is when cron starts commands.
    let left = 60 - clock.now().as_second().rem_euclid(60);
    if left < LIFE + 2 {
        stop.or(tokio::time::sleep(Duration::from_secs(left.unsigned_abs() + 1))).await?;
    }
    let log = match UnixDatagram::bind(world.join("log")) {
        Ok(log) => log,
        Err(error) => return Ok(Verdict::Unavailable(format!("no socket for its log: {error}"))),
    };
    let passwd = Some(host.path("/etc/passwd")).filter(|path| host.root().is_some() && path.exists());
    let mut command = process::command(&unshare);
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT]);
    command.env("STAGE", &world).env("NAME", name).env("CRON", &cron).env("LIFE", LIFE.to_string());
    command.env("PASSWD", passwd.unwrap_or_default());
    let verdict = stop.or(listen(command, &log, name)).await;
    drop(std::fs::remove_dir_all(&world));
    verdict
}

/// Reads the log until cron has said that it has read its crontabs.
async fn listen(mut command: tokio::process::Command, log: &UnixDatagram, name: &str) -> Verdict {
    // The reader keeps the process alive; it dies with it.
    let run = process::run(&mut command, Duration::from_secs(LIFE.unsigned_abs() + 2));
    let mut errors = Vec::new();
    let mut datagram = vec![0; 8192];
    let heard = async {
        loop {
            let Ok(length) = log.recv(&mut datagram).await else { continue };
            let text = String::from_utf8_lossy(&datagram[..length]);
            let Some((_, message)) = text.split_once("]: ") else { continue };
            match said_about(message.trim_end_matches(['\n', '\0']), name) {
                Some(Said::Error(error)) => errors.push(error),
                // Cron has just read its crontabs when it comes to those that are to run at a start.
                None if message.contains("@reboot jobs") => return,
                Some(Said::Reload) | None => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = heard => if errors.is_empty() { Verdict::Accepted } else { Verdict::Refused(errors) },
        ran = run => Verdict::Unavailable(match ran {
            Ok(ran) => format!("it ended before it had read the file: {}", ran.complaint()),
            Err(error) => format!("it cannot be started: {error}"),
        }),
    }
}

/// The file with commands that do nothing, every other byte as it is. None when a line is neither a known entry nor
/// something that cannot run.
fn harmless(crontab: &Crontab, source: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(source).ok()?;
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for (line, text) in crontab.lines.iter().zip(&mut lines) {
        match line {
            Line::Entry(_) => {
                let at = line.command_at(text)?;
                let end = text.strip_suffix('\r').unwrap_or(text).len();
                let nothing = nothing(end.checked_sub(at)?);
                text.replace_range(at..end, &nothing);
            }
            Line::Broken => return None,
            Line::Blank | Line::Comment(_) | Line::Setting(_) => {}
        }
    }
    Some(lines.join("\n").into_bytes())
}

/// A command of this length that does nothing.
fn nothing(length: usize) -> String {
    match length {
        0..=2 => ":".to_owned(),
        _ => [": #", &" nothing".chars().cycle().take(length - 3).collect::<String>()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crontab::file::Format;
    use jiff::tz::TimeZone;

    fn parse(source: &str) -> Crontab {
        Crontab::parse(source.as_bytes(), Format::system(TimeZone::UTC))
    }

    #[test]
    fn commands_become_nothing_and_all_else_stays() {
        for (source, expected) in [
            ("A=b\n# c\n\n1 2 * * * root /bin/rm -rf /\n", "A=b\n# c\n\n1 2 * * * root : # nothing n\n"),
            ("@daily root x\n", "@daily root :\n"),
            ("*\t* * * *\troot\txy\n", "*\t* * * *\troot\t:\n"),
            ("* * * * * root xyz", "* * * * * root : #"),
            ("* * * * * root ä%b\n", "* * * * * root : #\u{20}\n"),
        ] {
            let found =
                harmless(&parse(source), source.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(found.as_deref(), Some(expected), "{source:?}");
        }
        assert_eq!(harmless(&parse("rm -rf /\n"), b"rm -rf /\n"), None);
        assert_eq!(nothing(20), ": # nothing nothing ");
    }
}
