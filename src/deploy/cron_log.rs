//! What cron says about a crontab, in the journal or in the files that syslog writes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host::Host;
use super::process;

/// Where syslog daemons put it.
const FILES: [&str; 3] = ["/var/log/syslog", "/var/log/cron.log", "/var/log/cron"];
/// The names that cron gives itself.
const TAGS: [&str; 3] = ["cron", "CRON", "crond"];
/// How long the journal may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What cron said about a crontab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has read it again.
    Reload,
    /// It does not run it, and why.
    Error(String),
}

/// Cron's log, from a position on.
#[derive(Debug)]
pub(super) enum CronLog {
    Files(Vec<Tail>),
    Journal { program: PathBuf, cursor: Option<String> },
}

#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    inode: u64,
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl CronLog {
    /// From now on; none when there is no log that can be read.
    pub(super) async fn from_now(host: &Host) -> Option<Self> {
        Self::open(host, true).await
    }

    /// From the beginning.
    pub(super) async fn whole(host: &Host) -> Option<Self> {
        Self::open(host, false).await
    }

    async fn open(host: &Host, at_end: bool) -> Option<Self> {
        // Files first: where syslog writes them, it gets what the journal gets.
        let tails: Vec<Tail> =
            FILES.iter().filter_map(|path| Tail::open(&host.path(path), at_end).ok()).collect();
        if !tails.is_empty() {
            return Some(Self::Files(tails));
        }
        // A directory has no journal of its own; the machine's tells nothing about it.
        if host.root().is_some() || !Path::new("/run/systemd/journal/stdout").exists() {
            return None;
        }
        let program = host.tool("journalctl")?;
        let mut command = process::command(&program);
        command.args(["--no-pager", "--quiet", "--lines=0", "--show-cursor"]);
        let said = process::run(&mut command, PATIENCE).await.ok()?;
        let cursor = said.stdout.lines().find_map(|line| line.strip_prefix("-- cursor: ")).map(str::to_owned);
        (said.status.success() && cursor.is_some())
            .then_some(Self::Journal { program, cursor: cursor.filter(|_| at_end) })
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Files(tails) => {
                tails.iter().map(|tail| tail.path.display().to_string()).collect::<Vec<_>>().join(", ")
            }
            Self::Journal { .. } => "the journal".to_owned(),
        }
    }

    /// What was said about a crontab since the last question.
    pub(super) async fn said(&mut self, name: &str) -> Vec<Said> {
        match self {
            Self::Files(tails) => {
                let lines = tails.iter_mut().flat_map(Tail::lines);
                lines.filter_map(|line| said_about(message(&line)?, name)).collect()
            }
            Self::Journal { program, cursor } => {
                let mut command = process::command(program);
                command.args(["--no-pager", "--quiet", "--output=cat", "--show-cursor"]);
                command.args(["-t", "cron", "-t", "CRON"]);
                command.args(cursor.as_ref().map(|cursor| format!("--after-cursor={cursor}")));
                let Ok(answer) = process::run(&mut command, PATIENCE).await else { return Vec::new() };
                let mut said = Vec::new();
                for line in answer.stdout.lines() {
                    match line.strip_prefix("-- cursor: ") {
                        Some(next) => *cursor = Some(next.to_owned()),
                        None => said.extend(said_about(line, name)),
                    }
                }
                said
            }
        }
    }
}

impl Tail {
    fn open(path: &Path, at_end: bool) -> std::io::Result<Self> {
        let metadata = File::open(path)?.metadata()?;
        let offset = if at_end { metadata.len() } else { 0 };
        Ok(Self { path: path.to_owned(), inode: metadata.ino(), offset, partial: Vec::new() })
    }

    /// The whole lines that were written since the last time, also into a file that was rotated away meanwhile.
    fn lines(&mut self) -> Vec<String> {
        let Ok(mut now) = fs::metadata(&self.path) else { return Vec::new() };
        if now.ino() != self.inode {
            let rotated = PathBuf::from(format!("{}.1", self.path.display()));
            if fs::metadata(&rotated).is_ok_and(|old| old.ino() == self.inode) {
                self.read(&rotated);
            }
            (self.inode, self.offset) = (now.ino(), 0);
            now = fs::metadata(&self.path).unwrap_or(now);
        }
        if now.len() < self.offset {
            self.offset = 0;
        }
        let path = self.path.clone();
        self.read(&path);
        let end = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.partial.drain(..end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    fn read(&mut self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = file.read_at(&mut buffer, self.offset) {
            self.partial.extend_from_slice(&buffer[..length]);
            self.offset += length as u64;
        }
    }
}

/// What cron wrote, if cron wrote the line: `… cron[123]: message`, with the time before it.
fn message(line: &str) -> Option<&str> {
    let (head, message) = line.split_once("]: ")?;
    let (head, pid) = head.rsplit_once('[')?;
    let tag = head.rsplit([' ', '>', '/']).next()?;
    // A text with a tag of its own in front is what another program wrote.
    (TAGS.contains(&tag) && !head.contains(": ") && pid.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(message)
}

/// What a message says about a crontab, which cron calls `*system*NAME` or by its path.
pub(super) fn said_about(message: &str, name: &str) -> Option<Said> {
    let path = Host::crontab_on_host(name);
    if let Some(error) = message.strip_suffix(&format!("; while reading {path}")) {
        return Some(Said::Error(error.strip_prefix("Error: ").unwrap_or(error).to_owned()));
    }
    // What commands do and print is no message about the file, whatever it names.
    let (who, event) = message.strip_prefix('(')?.split_once(") ")?;
    let about_it = who == format!("*system*{name}") || event.ends_with(&format!("({path})"));
    if event.starts_with("CMD") || !about_it {
        return None;
    }
    if event.starts_with("RELOAD") {
        return Some(Said::Reload);
    }
    let event = event.replace(&format!(" ({path})"), "");
    let error = event.strip_prefix("ERROR (").map_or(event.as_str(), |text| text.trim_end_matches(')'));
    Some(Said::Error(error.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(line: &str) -> Option<Said> {
        said_about(message(line)?, "qs")
    }

    #[test]
    fn lines_of_cron_about_the_file_are_told_from_all_others() {
        let error = |text: &str| Some(Said::Error(text.to_owned()));
        let reload = || Some(Said::Reload);
        let lost = "Missing newline before EOF, this crontab file will be ignored";
        for (head, message, expected) in [
            ("h cron[7]", "(*system*qs) RELOAD (/etc/cron.d/qs)", reload()),
            ("cron[7]", "(*system*qs) RELOAD (/etc/cron.d/qs)", reload()),
            ("h crond[7]", "(*system*) RELOAD (/etc/cron.d/qs)", reload()),
            ("h cron[7]", "Error: bad minute; while reading /etc/cron.d/qs", error("bad minute")),
            ("h cron[7]", &format!("(*system*qs) ERROR ({lost})"), error(lost)),
            (
                "h cron[7]",
                "(*system*qs) INSECURE MODE (group/other writable) (/etc/cron.d/qs)",
                error("INSECURE MODE (group/other writable)"),
            ),
            ("h cron[7]", "(*system*qs) WRONG FILE OWNER (/etc/cron.d/qs)", error("WRONG FILE OWNER")),
            ("h cron[7]", "(*system*qs-2) RELOAD (/etc/cron.d/qs-2)", None),
            ("h cron[7]", "Error: bad minute; while reading /etc/cron.d/qs-2", None),
            ("h CRON[7]", "(root) CMD (cat (/etc/cron.d/qs))", None),
            ("h evil[7]", "(*system*qs) RELOAD (/etc/cron.d/qs)", None),
            ("h evil: cron[7]", "(*system*qs) RELOAD (/etc/cron.d/qs)", None),
            ("h cron[7]", "(root) RELOAD (crontabs/root)", None),
        ] {
            for time in ["Nov 21 12:00:01", "2026-11-21T12:00:01.5+00:00", "<78>Nov 21 12:00:01"] {
                assert_eq!(about(&format!("{time} {head}: {message}")), expected, "{time} {head}: {message}");
            }
        }
        assert_eq!(about("nonsense"), None);
    }

    #[tokio::test]
    async fn a_log_is_followed_from_its_end_through_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path()).unwrap();
        assert!(CronLog::from_now(&host).await.is_none());
        let log = host.path("/var/log/syslog");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let line = "Nov 21 12:00:01 h cron[7]: (*system*qs) RELOAD (/etc/cron.d/qs)\n";
        fs::write(&log, line).unwrap();
        let mut now = CronLog::from_now(&host).await.unwrap();
        assert_eq!(now.said("qs").await, []);
        assert_eq!(CronLog::whole(&host).await.unwrap().said("qs").await, [Said::Reload]);
        let append = |text: &str| {
            use std::io::Write;
            File::options().append(true).open(&log).unwrap().write_all(text.as_bytes()).unwrap();
        };
        append(&line[..20]);
        assert_eq!(now.said("qs").await, []);
        append(&line[20..]);
        assert_eq!(now.said("qs").await, [Said::Reload]);
        append(line);
        fs::rename(&log, host.path("/var/log/syslog.1")).unwrap();
        fs::write(&log, line).unwrap();
        assert_eq!(now.said("qs").await, [Said::Reload, Said::Reload]);
        assert_eq!(now.said("qs").await, []);
    }
}
