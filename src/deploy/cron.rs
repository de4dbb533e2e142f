//! Whether cron is running.

use std::path::Path;

use super::host::Host;

/// The names that its process may have.
const NAMES: [&str; 2] = ["cron", "crond"];

/// The number of its process.
pub fn running(host: &Host) -> Option<u32> {
    let pid_file = ["/run/crond.pid", "/var/run/crond.pid", "/run/cron.pid"].iter().find_map(|path| {
        let text = std::fs::read_to_string(host.path(path)).ok()?;
        text.trim().parse().ok().filter(|pid| is_cron(*pid))
    });
    pid_file.or_else(|| if host.root().is_none() { find() } else { None })
}

fn is_cron(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| NAMES.contains(&name.trim()))
}

/// One that sees the files that this process sees: the crons of containers are not ours.
fn find() -> Option<u32> {
    let files_of = |pid: &str| std::fs::read_link(Path::new("/proc").join(pid).join("ns/mnt")).ok();
    let own = files_of("self");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let name = entry.file_name();
        let pid = name.to_str()?;
        let number = pid.parse().ok()?;
        (is_cron(number) && own.is_some() && files_of(pid) == own).then_some(number)
    })
}
