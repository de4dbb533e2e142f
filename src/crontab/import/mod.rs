//! Lines that call the old scripts or `curl` become calls. What cannot be turned without changing what it does is left
//! as it is, with the reason.

mod curl;

use self::curl::curl;
use super::command::Command;
use super::file::{Crontab, Entry, Line, MAX_COMMAND};
use super::lint::secret_setting;
use super::problem::Rule;
use super::shell::{expands, split};

/// The program that the lines will name.
const PROGRAM: &str = "/usr/local/bin/qs-api-call";
/// The scripts that made calls, and those that only fetched a token.
const CALLS: [&str; 2] = ["qs-api-call.sh", "api-call.sh"];
const REFRESHES: [&str; 2] = ["qs-refresh-token.sh", "refresh-token.sh"];

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The line, from 1.
    pub line: usize,
    /// Whether it was changed; otherwise it was left although it is a call.
    pub changed: bool,
    /// What was done, or why nothing was.
    pub what: String,
}

/// The new file, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text.
    pub text: String,
    /// Every change, and every call that was left.
    pub changes: Vec<Change>,
    /// Servers that the lines named, for `api.base_url`.
    pub servers: Vec<String>,
}

/// What was made of something, or why it is left.
type Verdict<T> = Result<T, String>;

/// Turns the lines of a crontab.
pub fn import(crontab: &Crontab) -> Imported {
    let mut imported = Imported { text: String::new(), changes: Vec::new(), servers: Vec::new() };
    let utf8 = crontab.problems.iter().all(|problem| problem.rule != Rule::NotUtf8);
    for (index, (line, text)) in crontab.lines.iter().zip(&crontab.texts).enumerate() {
        let text = text.trim_end_matches('\r');
        let turned = match line {
            _ if !utf8 && text.contains(char::REPLACEMENT_CHARACTER) => Turned::Left(
                "it is not UTF-8, and what is not is lost here; save the file as UTF-8".to_owned(),
            ),
            Line::Setting(setting) if secret_setting(&setting.name, &setting.value) => Turned::Gone(format!(
                "{} was here; its value belongs into a file of mode 0600 that the configuration names",
                setting.name
            )),
            Line::Entry(entry) => entry_of(entry, &mut imported.servers),
            _ => Turned::Same,
        };
        let mut note = |changed, what| imported.changes.push(Change { line: index + 1, changed, what });
        match turned {
            Turned::Same => imported.text.push_str(text),
            Turned::Left(why) => {
                note(false, why);
                imported.text.push_str(text);
            }
            Turned::Gone(what) => {
                imported.text.push_str("# ");
                imported.text.push_str(&what);
                note(true, what);
            }
            Turned::Command(command, what) => {
                note(true, what);
                let at = match line {
                    Line::Entry(entry) => {
                        text.char_indices().nth(entry.command_column - 1).map_or(text.len(), |(at, _)| at)
                    }
                    _ => text.len(),
                };
                imported.text.push_str(&text[..at]);
                imported.text.push_str(&command);
            }
        }
        imported.text.push('\n');
    }
    imported
}

enum Turned {
    Same,
    Left(String),
    Gone(String),
    /// The command as cron reads it.
    Command(String, String),
}

fn entry_of(entry: &Entry, servers: &mut Vec<String>) -> Turned {
    let (command, redirection, rest) = split(&entry.command.shell);
    let Some(texts) = shlex::split(command) else { return Turned::Same };
    let names = |names: &[&str]| texts.iter().any(|word| names.contains(&base(word)));
    if !(names(&CALLS) || names(&REFRESHES) || names(&["curl", "wget"])) {
        return Turned::Same;
    }
    if !rest.is_empty() || entry.command.input.is_some() {
        return Turned::Left("it is part of a larger shell command; turn it by hand".to_owned());
    }
    // Neither a setting nor an argument is told: each may be a secret.
    let assigned = texts.iter().take_while(|word| is_assignment(word)).count();
    let program = texts.get(assigned).map(|word| base(word)).unwrap_or_default();
    if assigned > 0 {
        return Turned::Left(format!("a setting stands before {program}; it belongs into the configuration"));
    }
    if REFRESHES.contains(&program) {
        return Turned::Gone(format!("{program} was here: a call fetches its token by itself"));
    }
    let words = match words(command, &texts) {
        Some(words) if CALLS.contains(&program) || program == "curl" => words,
        Some(_) => {
            return Turned::Left(format!("{program} is not turned; qs-api-call --help tells the options"));
        }
        None => return Turned::Left("its quotes are not understood; turn it by hand".to_owned()),
    };
    let turned = if program == "curl" {
        curl(&words[1..], redirection.trim()).map(|(command, server)| {
            let what = format!("curl became qs-api-call; api.base_url must be {server}");
            (command, what, Some(server))
        })
    } else {
        // The shell reads the arguments as before, so they are kept as they are written.
        let arguments = words[1..].iter().map(|word| word.raw);
        let redirection = Some(redirection.trim()).filter(|redirection| !redirection.is_empty());
        let command: Vec<&str> = std::iter::once(PROGRAM).chain(arguments).chain(redirection).collect();
        Ok((command.join(" "), format!("{program} became qs-api-call"), None))
    };
    let turned = turned.and_then(|(shell, what, server)| Ok((for_cron(&shell)?, what, server)));
    match turned {
        Ok((command, what, server)) => {
            servers.extend(server.filter(|server| !servers.contains(server)));
            Turned::Command(command, what)
        }
        Err(why) => Turned::Left(why),
    }
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The text of which cron makes this text for the shell. A backslash before a percent sign or a backslash is taken
/// away by cron, so it is doubled, and one that ends the text as well.
fn for_cron(shell: &str) -> Verdict<String> {
    let mut text = String::with_capacity(shell.len());
    let mut chars = shell.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' || (c == '\\' && matches!(chars.peek(), None | Some('\\' | '%'))) {
            text.push('\\');
        }
        text.push(c);
    }
    let command = Command::new(&text);
    if command.shell != shell || command.input.is_some() || text.contains(['\n', '\r']) {
        return Err("cron cannot be given its characters".to_owned());
    }
    if text.len() > MAX_COMMAND {
        return Err(format!("it would be longer than the {MAX_COMMAND} bytes that cron takes"));
    }
    Ok(text)
}

/// A word of a command.
#[derive(Clone)]
struct Word<'a> {
    /// What it says without its quotes.
    text: String,
    /// As it is written. For the value in `--option=value`, the whole of that.
    raw: &'a str,
}

impl Word<'_> {
    /// Whether the shell makes one word of it, whatever it puts in: that is within one pair of double quotes.
    fn is_one_word(&self) -> bool {
        let parts: Vec<&str> = self.raw.split('"').collect();
        matches!(parts[..], [before, within, after]
            if changed_by_shell(before).is_none() && changed_by_shell(after).is_none() && !within.contains('\\')
                && !before.contains(['\'', '\\']) && !after.contains(['\'', '\\']))
    }
}

/// The words of a command with these texts as they are written.
fn words<'a>(command: &'a str, texts: &[String]) -> Option<Vec<Word<'a>>> {
    let (mut words, mut start) = (Vec::new(), None);
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in command.char_indices().chain([(command.len(), ' ')]) {
        let blank = quote.is_none() && !escaped && matches!(c, ' ' | '\t' | '\n');
        match (std::mem::take(&mut escaped), quote, c) {
            (true, ..) => {}
            (_, Some(open), c) if c == open => quote = None,
            (_, Some('"') | None, '\\') => escaped = true,
            (_, None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        match (blank, start) {
            (true, Some(from)) => {
                words.push(&command[from..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    let alike = start.is_none()
        && words.len() == texts.len()
        && words
            .iter()
            .zip(texts)
            .all(|(raw, text)| matches!(shlex::split(raw).as_deref(), Some([word]) if word == text));
    let word = |(raw, text): (&'a str, &String)| Word { text: text.clone(), raw };
    alike.then(|| words.into_iter().zip(texts).map(word).collect())
}

/// Why the shell, or another one than it, would make something else of a word as it is written.
fn changed_by_shell(raw: &str) -> Option<&'static str> {
    if raw.starts_with('~') {
        return Some("the shell puts a home directory into it");
    }
    let (mut quote, mut escaped) = (None, false);
    let braces = raw.chars().any(|c| {
        match (std::mem::take(&mut escaped), quote, c) {
            (true, ..) => {}
            (_, Some(open), c) if c == open => quote = None,
            (_, Some('"') | None, '\\') => escaped = true,
            (_, None, '\'' | '"') => quote = Some(c),
            (_, None, '{') => return true,
            _ => {}
        }
        false
    });
    if braces { Some("the shell may make several words of its braces") } else { expands(raw) }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::crontab::file::Format;
    use crate::domain::cron::Dialect;

    fn imported(text: &str) -> Imported {
        let format =
            Format { dialect: Dialect::Cron, user_column: true, zone: TimeZone::UTC, fixed_zone: true };
        import(&Crontab::parse(text.as_bytes(), format))
    }

    #[test]
    fn scripts_and_curl_become_calls() {
        for (before, after) in [
            (
                "0 * * * * root /usr/local/bin/qs-api-call.sh /api/v1/a /var/log/a.log",
                "0 * * * * root /usr/local/bin/qs-api-call /api/v1/a /var/log/a.log",
            ),
            (
                "@daily  root curl -sS -X POST -H \"Authorization: Bearer $(cat /etc/token)\" -H 'Content-Type: application/json' -d '{\"a\": 1}' --max-time 60 --retry 3 https://api.example.com/api/v1/a?b=c >> /var/log/a.log 2>&1",
                "@daily  root /usr/local/bin/qs-api-call --data '{\"a\": 1}' --timeout 60s --retries 3 '/api/v1/a?b=c' /var/log/a.log",
            ),
            (
                "0 0 * * * root curl http://h:8080 >/dev/null 2>&1",
                "0 0 * * * root /usr/local/bin/qs-api-call -X GET /",
            ),
            (
                "0 0 * * * root curl -XPUT -m5 http://h/a\\%20b",
                "0 0 * * * root /usr/local/bin/qs-api-call -X PUT --timeout 5s '/a\\%20b'",
            ),
        ] {
            let found = imported(&format!("{before}\r\n"));
            assert_eq!(found.text, format!("{after}\n"), "{:?}", found.changes);
            assert!(found.changes[0].changed);
        }
    }

    #[test]
    fn what_curl_does_is_what_the_call_does() {
        const CALL: &str = "/usr/local/bin/qs-api-call";
        for (before, after) in [
            ("curl 'http://h:8080?job=1'", "-X GET '/?job=1'"),
            ("curl http://h:8080?job=1", "-X GET '/?job=1'"),
            ("curl http://h/a#b", "-X GET /a"),
            ("curl -sXPOST http://h/a", "/a"),
            ("curl -so /dev/null -fsS http://h/a", "-X GET /a"),
            ("curl -g 'http://h/a?b[]=1'", "-X GET '/a?b[]=1'"),
            ("curl -d @/etc/body.json http://h/a", "--data '@/etc/body.json' /a"),
            ("curl --json '[1]' http://h/a", "--data '[1]' /a"),
            ("curl -sH\"Authorization: Bearer $(cat /etc/t)\" http://h/a", "-X GET /a"),
            ("curl -H 'X-Org: 7' -m 2.5 http://h/a", "-X GET -H 'X-Org: 7' --timeout 2.5s /a"),
            ("curl http://h/a &>> /var/log/a.log", "-X GET /a /var/log/a.log"),
        ] {
            let found = imported(&format!("0 0 * * * root {before}\n"));
            let line = found.text.trim_end();
            let shell = Command::new(line.strip_prefix("0 0 * * * root ").unwrap()).shell;
            let expected = format!("{CALL} {after}");
            assert_eq!(shlex::split(&shell), shlex::split(&expected), "{before}: {:?}", found.changes);
        }
        assert_eq!(imported("0 0 * * * root curl http://h:8080?job=1\n").servers, ["http://h:8080"]);
    }

    #[test]
    fn cron_hands_the_same_text_to_the_shell() {
        for shell in
            ["a", "%", "\\", "\\\\", "\\\\\\", "\\%", "\\\\%", "%\\", "a\\b", "'\\n\\\\' %%", "\\a\\"]
        {
            assert_eq!(Command::new(&for_cron(shell).unwrap()).shell, shell, "{shell}");
        }
        // Every text of up to six of the characters that matter.
        for number in 0..4_u32.pow(6) {
            let text: String = (0..6)
                .map(|place| ['a', '\\', '%', '\''][(number / 4_u32.pow(place) % 4) as usize])
                .collect();
            assert_eq!(Command::new(&for_cron(&text).unwrap()).shell, text);
        }
        for body in [r#"'{"a": "\\\\ \% \""}'"#, r#"'"\\\\\\\\"'"#] {
            let (before, found) = (format!("curl -d {body} http://h/a"), format!("qs-api-call.sh /a {body}"));
            for line in [before, found] {
                let cron = Command::new(&line).shell;
                let imported = imported(&format!("0 0 * * * root {line}\n"));
                let text = imported.text.trim_end().strip_prefix("0 0 * * * root ").unwrap();
                let words = shlex::split(&cron).unwrap();
                let body = words.iter().find(|word| word.contains('\\')).unwrap();
                let became = shlex::split(&Command::new(text).shell).unwrap();
                assert!(imported.changes[0].changed && became.contains(body), "{line} {text}");
            }
        }
    }

    #[test]
    fn arguments_of_a_script_stay_as_they_are_written() {
        for (before, after) in [
            (
                "qs-api-call.sh \"/a/$(date +\\%F)\"  /b\\ c >> /d 2>&1",
                " \"/a/$(date +\\%F)\" /b\\ c >> /d 2>&1",
            ),
            ("\"/opt/a b/api-call.sh\" /x\\ ", " /x\\ "),
            ("qs-api-call.sh", ""),
        ] {
            let found = imported(&format!("0 0 * * * root {before}\n"));
            assert_eq!(found.text, format!("0 0 * * * root {PROGRAM}{after}\n"), "{:?}", found.changes);
        }
    }

    #[test]
    fn no_secret_is_told() {
        for command in [
            "TOKEN=hunter22 curl https://h/a",
            "TOKEN=hunter22 /opt/qs-api-call.sh /a",
            "env TOKEN=hunter22 curl https://h/a",
            "/opt/refresh-token.sh --password hunter22",
            "curl a:hunter22@h/a",
            "curl -uhunter22 https://h/a",
            "curl --oauth2-bearer=hunter22 https://h/a",
            "curl https://h/a > /b -H 'Authorization: Basic hunter22'",
            "curl -H 'X-Api-Key: hunter22' https://h/a",
            "curl -m hunter22 https://h/a",
        ] {
            let line = format!("0 0 * * * root {command}\n");
            let found = imported(&line);
            assert!(found.changes.iter().all(|change| !change.what.contains("hunter22")), "{found:?}");
            assert!(found.text == line || !found.text.contains("hunter22"), "{found:?}");
        }
        let found = imported("0 0 * * * root TOKEN=x wget https://h/a\n");
        assert!(found.changes[0].what.contains("before wget"), "{found:?}");
    }

    #[test]
    fn a_line_that_is_not_utf8_is_left() {
        let format =
            Format { dialect: Dialect::Cron, user_column: true, zone: TimeZone::UTC, fixed_zone: true };
        let source = b"0 0 * * * root qs-api-call.sh /\xff\n# \xff\n0 0 * * * root qs-api-call.sh /a\n";
        let found = import(&Crontab::parse(source, format));
        let changed: Vec<_> = found.changes.iter().map(|change| (change.line, change.changed)).collect();
        assert_eq!(changed, [(1, false), (2, false), (3, true)]);
        assert!(found.text.contains("qs-api-call.sh /\u{fffd}") && found.changes[0].what.contains("UTF-8"));
        assert_eq!(imported("0 0 * * * root curl http://h/a # \u{fffd}\n").changes.len(), 1);
    }

    #[test]
    fn secrets_and_token_scripts_go() {
        let found = imported("IAM_PASSWORD=hunter22\n*/30 * * * * root /usr/local/bin/qs-refresh-token.sh\n");
        assert!(!found.text.contains("hunter22"), "{}", found.text);
        assert!(found.text.lines().all(|line| line.starts_with("# ")), "{}", found.text);
        assert!(found.changes.iter().all(|change| !change.what.contains("hunter22")));
    }

    #[test]
    fn what_cannot_be_turned_is_left_with_the_reason() {
        for (command, why) in [
            ("curl -k https://h/a", "certificate"),
            ("curl -u a:b https://h/a", "password"),
            ("curl https://a:b@h/a", "password"),
            ("curl https://h/$(date)", "shell"),
            ("curl https://h/a | tee x", "larger"),
            ("curl --form x=y https://h/a", "--form"),
            ("wget https://h/a", "wget"),
            ("curl https://h/a > a.log", "redirection"),
            ("curl https://h/a >/var/log/a2>&1", "redirection"),
            ("curl https://h/$A", "shell"),
            ("curl -d \"{\\\"a\\\": $A}\" https://h/a", "shell"),
            ("curl -A $A https://h/a", "shell"),
            ("curl --cacert ~/ca https://h/a", "shell"),
            ("curl https://h/{a,b}", "shell"),
            ("curl https://h/*", "shell"),
            ("curl -H Authorization:Bearer\\ $A https://h/a", "several words"),
            ("curl -H \"X-A: $A\" https://h/a", "shell"),
            ("curl --data-raw @x https://h/a", "not JSON"),
            ("curl -d a=b https://h/a", "not JSON"),
            ("curl -d '<a/>' https://h/a", "not JSON"),
            ("curl -H 'Content-Type: text/xml' -d 1 https://h/a", "not JSON"),
            ("curl -d @- https://h/a", "standard input"),
            ("curl -d 1 -d 2 https://h/a", "more than one body"),
            ("curl -m 0 https://h/a", "no limit"),
            ("curl --max-time 0 https://h/a", "no limit"),
            ("curl -m abc https://h/a", "number"),
            ("curl --retry x https://h/a", "number"),
            ("curl -X '' https://h/a", "method"),
            ("curl -X post https://h/a", "method"),
            ("curl 'https://h/a?b={a,b}'", "several calls"),
            ("curl 'https://h/[1-9]'", "several calls"),
            ("curl -o /tmp/x https://h/a", "file"),
            ("curl -so/tmp/x https://h/a", "file"),
            ("curl -H 'Authorization: Basic YTpi' https://h/a", "another credential"),
            ("curl -H 'Cookie: a=b' https://h/a", "secret"),
            ("curl -H 'Accept: text/csv' https://h/a", "Accept"),
            ("curl -fsSL https://h/a", "redirects"),
            ("curl --location https://h/a", "redirects"),
            ("curl -sI https://h/a", "-I"),
            ("curl https://h/a/../b", "another way"),
            ("curl -d -1 https://h/a", "arguments"),
            ("curl https://h/a https://h/b", "more than one URL"),
            ("TOKEN=x curl https://h/a", "before curl"),
        ] {
            let line = format!("0 0 * * * root {command}\n");
            let found = imported(&line);
            assert_eq!(found.text, line);
            assert!(
                !found.changes[0].changed && found.changes[0].what.contains(why),
                "{command}: {:?}",
                found.changes
            );
        }
        assert_eq!(imported("0 0 * * * root /bin/backup\n").changes, []);
    }
}
