//! What of a line becomes the target of a task, and what is refused when it is loaded.

use qs_scheduler::domain::exit::Exit;
use qs_scheduler::domain::overlap::Overlap;
use qs_scheduler::scheduler::handlers::endpoint::EndpointTarget;

use super::{handler, read, target};
use crate::support::world::{ENDPOINT, TASK, World};

#[test]
fn a_target_is_the_words_and_the_settings_of_its_call_and_nothing_else() {
    let text = "MAILTO=root\nPATH=/bin\nOTHER=x\nTIMEOUT=3\nQS_CALL__RETRIES=1\nHTTPS_PROXY=http://proxy:1\n\
                0 * * * * root QS_CALL__RETRIES=0 /usr/local/bin/qs-api-call --idempotent /api/v1/a /l.log >/dev/null 2>&1";
    let found = read(text).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found.arguments, ["--idempotent", "/api/v1/a", "/l.log"]);
    assert_eq!(
        found.settings,
        [pair("TIMEOUT", "3"), pair("HTTPS_PROXY", "http://proxy:1"), pair("QS_CALL__RETRIES", "0")]
    );
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<EndpointTarget>(&json).unwrap(), found);
    // A comment or a new recipient of mail makes no new task.
    let moved = text.replace("MAILTO=root", "# a comment\nMAILTO=ops");
    assert_eq!(read(&moved).unwrap(), found);
}

#[test]
fn what_is_wrong_in_a_crontab_is_refused_in_the_words_of_the_linter() {
    for (arguments, rule, says) in [
        ("--dry-run /a", "call-arguments", "--dry-run, with which this line would never call anything"),
        (
            "--force-login /a",
            "call-arguments",
            "--force-login, with which a wrong password would lock the account",
        ),
        (
            "--manual /a",
            "call-arguments",
            "--manual, with which no run of this line would count for its task",
        ),
        ("--data nonsense /a", "call-arguments", "a body that is no JSON"),
        ("-H 'Idempotency-Key: 1' /a", "call-arguments", "a header Idempotency-Key"),
        ("--json /a", "call-arguments", "--json, whose object would be printed for nobody"),
        ("--output - /a", "call-arguments", "--output to a standard stream"),
        ("--output /dev/fd/2 /a", "call-arguments", "--output to a standard stream"),
        ("--data @- /a", "call-arguments", "a body from standard input"),
        ("/a here.log", "call-arguments", "the relative path \"here.log\""),
        ("--data @body.json /a", "call-arguments", "the relative path \"body.json\""),
        ("--state-dir state /a", "call-arguments", "the relative path \"state\""),
    ] {
        let problems = read(&format!("0 * * * * root /usr/local/bin/qs-api-call {arguments}")).unwrap_err();
        assert!(problems.iter().all(|problem| problem.line == 1 && !problem.fix.is_empty()), "{problems:?}");
        let found = problems
            .iter()
            .find(|problem| problem.found.starts_with(says))
            .unwrap_or_else(|| panic!("{arguments}: {problems:?}"));
        assert_eq!(found.rule.code(), rule);
    }
    let secret = "IAM_PASSWORD=hunter2\n0 * * * * root /usr/local/bin/qs-api-call /a";
    let problems = read(secret).unwrap_err();
    assert_eq!((problems[0].rule.code(), problems.len()), ("secret", 1));
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[test]
fn a_line_and_its_configuration_say_what_a_scheduler_must_know() {
    let world = World::new().set("QS_CALL__OVERLAP", "fail").set("QS_CALL__JITTER", "5m");
    let handler = handler(&world);
    let policy = handler.policy(&target(&format!("--timeout 90s {ENDPOINT}"))).unwrap();
    assert_eq!((policy.task.as_str(), policy.overlap, policy.idempotent), (TASK, Overlap::Fail, false));
    assert_eq!((policy.timeout.as_secs(), policy.jitter.as_secs(), policy.jitter_fixed), (90, 300, false));
    let line = format!("--overlap parallel --jitter 0s -X GET --task mine {ENDPOINT}");
    let policy = handler.policy(&target(&line)).unwrap();
    assert_eq!((policy.task.as_str(), policy.overlap, policy.idempotent), ("mine", Overlap::Parallel, true));
    assert!(policy.jitter.is_zero());
    let mut unknown = target(ENDPOINT);
    unknown.settings.push(("QS_CALL__TIMEOUTT".to_owned(), "1".to_owned()));
    for (wrong, exit, says) in [
        (unknown, Exit::Config, "QS_CALL__TIMEOUTT"),
        (target(&format!("--target elsewhere {ENDPOINT}")), Exit::Config, "there is no target \"elsewhere\""),
        (target(&format!("-H Authorization:x {ENDPOINT}")), Exit::Usage, "made by the call itself"),
        (
            EndpointTarget { arguments: vec!["--bogus".to_owned()], settings: vec![], file: None },
            Exit::Usage,
            "--bogus",
        ),
    ] {
        let failure = handler.policy(&wrong).unwrap_err();
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(failure.message.contains(says), "{failure:?}");
    }
}
