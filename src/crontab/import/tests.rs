use jiff::tz::TimeZone;

use super::line::for_cron;
use super::{Crontab, Imported, PROGRAM, import};
use crate::crontab::command::Command;
use crate::crontab::file::Format;

fn imported(text: &str) -> Imported {
    import(&Crontab::parse(text.as_bytes(), Format::system(TimeZone::UTC)))
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
        ("curl -A 'my agent/1' http://h/a", "-X GET -H 'User-Agent: my agent/1' /a"),
        ("curl --retry 5 --retry-delay 0 --retry-max-time 0 http://h/a", "-X GET --retries 5 /a"),
        ("curl -so /dev/null -w '\\%{http_code}' http://h/a", "-X GET /a"),
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
    for shell in ["a", "%", "\\", "\\\\", "\\\\\\", "\\%", "\\\\%", "%\\", "a\\b", "'\\n\\\\' %%", "\\a\\"] {
        assert_eq!(Command::new(&for_cron(shell).unwrap()).shell, shell, "{shell}");
    }
    // Every text of up to six of the characters that matter.
    for number in 0..4_u32.pow(6) {
        let text: String =
            (0..6).map(|place| ['a', '\\', '%', '\''][(number / 4_u32.pow(place) % 4) as usize]).collect();
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
        ("qs-api-call.sh \"/a/$(date +\\%F)\"  /b\\ c >> /d 2>&1", " \"/a/$(date +\\%F)\" /b\\ c >> /d 2>&1"),
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
    let source = b"0 0 * * * root qs-api-call.sh /\xff\n# \xff\n0 0 * * * root qs-api-call.sh /a\n";
    let found = import(&Crontab::parse(source, Format::system(TimeZone::UTC)));
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
        ("curl --retry 5 --retry-delay 60 https://h/a", "--retry-delay"),
        ("curl --retry 5 --retry-max-time 600 https://h/a", "--retry-max-time"),
        ("curl -4 https://h/a", "-4 or -6"),
        ("curl -sS6 https://h/a", "-4 or -6"),
        ("curl --ipv4 https://h/a", "-4 or -6"),
        ("curl -A '' https://h/a", "User-Agent"),
        ("curl -w \"%{http_code}\" https://h/a", "backslash"),
        ("curl -w %{http_code} https://h/a", "backslash"),
        ("curl -H 'X-A: 1 https://h/a", "quotes"),
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
