//! The file as cron finds it: its name, kind, owner and mode; the users in it; the zone that it states.

use super::Facts;
use crate::crontab::environment::Setting;
use crate::crontab::file::{Crontab, Line};
use crate::crontab::problem::{Problem, Rule, report};

/// What the file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Whether it is a regular file, perhaps through links.
    pub regular: bool,
    /// Permission bits.
    pub mode: u32,
    /// Number of the owner.
    pub owner: u32,
    /// How many names it has.
    pub links: u64,
    /// The owner of the link that leads to it, when the path is one.
    pub link_owner: Option<u32>,
}

/// Whether cron reads a file of this name in `/etc/cron.d`.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    if let Some(name) = facts.name.filter(|name| !is_file_name(name)) {
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        let found = format!("the name {name:?}, which cron ignores without a word");
        let fix = format!("name it {}, or say with --name how it will be installed", plain.trim_matches('-'));
        report(problems, Rule::FileName, 0, found).expected("letters, digits, '-' and '_'").fix(fix);
    }
    if let Some(file) = facts.file {
        of_file(file, problems);
    }
    let Some(host) = facts.host else { return };
    for entry in crontab.entries() {
        if let Some(user) = entry.user.as_deref().filter(|user| !host.has_user(user)) {
            let found =
                format!("the user {user:?}, whom this machine does not know; cron ignores the whole file");
            report(problems, Rule::UnknownUser, entry.line, found)
                .fix("name an existing user, for example root");
        }
    }
    for (index, line) in crontab.lines.iter().enumerate() {
        let Line::Setting(Setting { name, value }) = line else { continue };
        let runs = || host.file(value).is_some_and(|file| file.mode & 0o111 != 0);
        if name == "SHELL" && value.starts_with('/') && !value.contains(' ') && !runs() {
            let found =
                format!("{value:?}, which this machine does not have as a program: no line would run");
            report(problems, Rule::Shell, index + 1, found).fix("SHELL=/bin/sh");
        }
    }
    if let (Some((line, stated)), Some(machine)) = (&crontab.stated_zone, host.zone())
        && *stated != machine
    {
        let found = format!("times in {stated}, but this machine is in {machine}");
        let fix = format!("timedatectl set-timezone {stated}, or rewrite the times");
        report(problems, Rule::ZoneDiffers, *line, found).fix(fix);
    }
}

fn of_file(file: &FileFacts, problems: &mut Vec<Problem>) {
    if !file.regular || file.links > 1 {
        let names = || format!("a file with {} names (hard links)", file.links);
        let found = if file.regular { names() } else { "something that is no regular file".to_owned() };
        report(problems, Rule::FileKind, 0, found).expected("a regular file with one name").fix("copy it");
    }
    let owner = [Some(file.owner), file.link_owner].into_iter().flatten().find(|owner| *owner != 0);
    if let Some(owner) = owner {
        let found = format!("a file of user number {owner}, which cron ignores");
        report(problems, Rule::FileOwner, 0, found).expected("root").fix("chown root:root FILE");
    }
    if file.mode & 0o022 != 0 {
        let found =
            format!("mode {:04o}: group or others may write it, so cron ignores it", file.mode & 0o7777);
        report(problems, Rule::FileMode, 0, found).expected("0644").fix("chmod 644 FILE");
    }
}
