//! Secrets: none belongs into a crontab, which everybody on the machine can read, and the files that hold them are for
//! their owner alone. A problem never repeats the secret.

use super::Facts;
use crate::crontab::file::{Crontab, CrontabEntry, Line};
use crate::crontab::problem::{Problem, Rule, report};

/// Words in a setting's name that announce a secret.
const WORDS: [&str; 7] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"];
/// Ends of a name whose value is a place or a property, not the secret itself.
const HARMLESS: [&str; 5] = ["_FILE", "_PATH", "_DIR", "_URL", "_TTL"];

const FIX: &str = "put it into a file of mode 0600 that the configuration names (iam.password_file)";

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    for (index, line) in crontab.lines.iter().enumerate() {
        match line {
            Line::Setting(setting)
                if is_secret(&setting.name, &setting.value) || has_userinfo(&setting.value) =>
            {
                in_setting(index + 1, &setting.name, problems);
            }
            Line::Setting(setting) => readable(index + 1, &setting.name, &setting.value, facts, problems),
            Line::Entry(entry) => of_entry(entry, facts, problems),
            Line::Comment(text) => of_comment(index + 1, text, problems),
            Line::Broken => of_words(index + 1, &crontab.texts[index], problems),
            Line::Blank => {}
        }
    }
}

fn of_entry(entry: &CrontabEntry, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let Some(call) = entry.call() else {
        of_words(entry.line, &entry.command.shell, problems);
        return;
    };
    let invocation = &call.line.invocation;
    let pair = |text: &str| text.split_once('=').is_some_and(|(name, value)| is_secret(name, value));
    let endpoint = invocation.endpoint.as_deref().unwrap_or_default();
    let query = endpoint.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let body = invocation.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
    // A form is what is sent instead of JSON most often.
    let form = invocation.data.as_deref().filter(|_| !invocation.sends_json()).unwrap_or_default();
    let header = |header: &String| {
        is_secret_header(header)
            || header.split_once(':').is_some_and(|(name, value)| is_secret(name, value.trim()))
    };
    let what = if call.assignments.iter().any(|(name, value)| is_secret(name, value)) {
        "a secret"
    } else if invocation.header.iter().any(header) {
        "a secret header"
    } else if invocation.ping_url.as_deref().is_some_and(has_userinfo) {
        "a password in a URL"
    } else if invocation.query.iter().map(String::as_str).chain(query.split('&')).any(pair) {
        "a secret in the query"
    } else if body.as_ref().is_some_and(holds_secret) || form.split(['&', '\n']).any(pair) {
        "a secret in the body"
    } else {
        if let Some(key) = &invocation.key {
            readable(entry.line, "KEY_FILE", &key.to_string_lossy(), facts, problems);
        }
        return;
    };
    in_command(entry.line, what, problems);
}

/// Says that a setting holds a secret.
fn in_setting(line: usize, name: &str, problems: &mut Vec<Problem>) {
    report(problems, Rule::Secret, line, format!("a secret in the setting {name}")).fix(FIX);
}

/// Refuses settings that hold a secret, wherever they are to be kept.
pub fn of_settings<'a>(
    line: usize,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in settings {
        if is_secret(name, value) || has_userinfo(value) {
            in_setting(line, name, problems);
        }
    }
}

fn in_command(line: usize, what: &str, problems: &mut Vec<Problem>) {
    report(problems, Rule::Secret, line, format!("{what} in the command, which is public while it runs"))
        .fix(FIX);
}

fn holds_secret(body: &serde_json::Value) -> bool {
    match body {
        serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| {
            value.as_str().is_some_and(|value| is_secret(name, value)) || holds_secret(value)
        }),
        serde_json::Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// The words of a command that is no call, or of a line that cannot be read.
fn of_words(line: usize, text: &str, problems: &mut Vec<Problem>) {
    let words: Vec<String> =
        shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect());
    let with_value = |pair: &[String]| {
        (matches!(pair[0].as_str(), "-u" | "--user") && pair[1].contains(':'))
            || (pair[0].starts_with("--") && is_secret(pair[0].trim_start_matches('-'), &pair[1]))
    };
    let named = |word: &String| {
        word.split_once('=').is_some_and(|(name, value)| is_secret(name.trim_start_matches('-'), value))
    };
    if words.iter().any(|word| is_secret_header(word)) {
        in_command(line, "a secret header", problems);
    } else if words.iter().any(|word| has_userinfo(word)) {
        in_command(line, "a password in a URL", problems);
    } else if words.windows(2).any(with_value) || words.iter().any(named) {
        in_command(line, "a password", problems);
    }
}

/// A setting that was only commented out is still there to be read.
fn of_comment(line: usize, text: &str, problems: &mut Vec<Problem>) {
    let body = text.trim_start_matches('#').trim();
    let Some((name, value)) = body.split_once('=') else { return };
    let name = name.trim();
    if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && is_secret(name, value.trim()) {
        let found = format!("a secret in the comment, behind {name}");
        report(problems, Rule::Secret, line, found).fix("remove it, and change the secret");
    }
}

/// Whether a name and its value are a secret, as far as the name tells.
pub fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let placeholder =
        value.is_empty() || value.starts_with("${") || value.starts_with('<') || value.starts_with('/');
    !placeholder
        && WORDS.iter().any(|word| name.contains(word))
        && !HARMLESS.iter().any(|end| name.ends_with(end))
}

fn is_secret_header(word: &str) -> bool {
    let Some((name, value)) = word.split_once(':') else { return false };
    let value = value.trim();
    let name = name.trim().to_ascii_lowercase();
    let secret = matches!(name.as_str(), "authorization" | "cookie" | "x-api-key" | "proxy-authorization");
    // `Bearer $(cat token)` and `Bearer $TOKEN` are for the shell to fill in.
    let last = value.rsplit(' ').next().unwrap_or_default();
    secret && !last.is_empty() && !value.contains('$') && !value.contains('`')
}

/// `https://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(userinfo, _)| {
        userinfo.split_once(':').is_some_and(|(_, password)| !password.is_empty())
    })
}

/// A file with a secret, named by a setting, that others than its owner can read.
fn readable(line: usize, name: &str, path: &str, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let Some(host) = facts.host else { return };
    let upper = name.to_ascii_uppercase();
    let names_secret =
        upper.ends_with("_FILE") && (upper == "KEY_FILE" || WORDS.iter().any(|word| upper.contains(word)));
    if !names_secret {
        return;
    }
    if let Some(mode) = host.file(path).map(|file| file.mode & 0o7777).filter(|mode| mode & 0o077 != 0) {
        let found = format!("{path}, which has mode {mode:04o}: others can read the secret in it");
        report(problems, Rule::SecretReadable, line, found).expected("0600").fix(format!("chmod 600 {path}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_their_places() {
        for (name, value, expected) in [
            ("IAM_PASSWORD", "x", true),
            ("IAM_PASSWORD", "", false),
            ("IAM_PASSWORD_FILE", "/etc/x", false),
            ("TOKEN_FILE", "/etc/x", false),
            ("MY_API_KEY", "x", true),
            ("client-secret", "x", true),
            ("PATH", "/bin", false),
            ("IAM_PASSWORD", "${SET_ELSEWHERE}", false),
        ] {
            assert_eq!(is_secret(name, value), expected, "{name}={value}");
        }
        assert!(is_secret_header("Authorization: Bearer abc"));
        assert!(!is_secret_header("Authorization: Bearer $TOKEN"));
        assert!(!is_secret_header("X-Org: 7"));
        assert!(has_userinfo("https://a:b@host/x"));
        assert!(!has_userinfo("https://host/a:b@c"));
    }
}
