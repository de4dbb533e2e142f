use jiff::tz::TimeZone;

use super::{kubernetes, systemd};
use crate::crontab::file::{Crontab, Format};
use crate::crontab::render::{Options, cron_d, table};
use crate::domain::cron::{CronDialect, CronExpr};

fn expr(text: &str) -> CronExpr {
    CronExpr::parse(text, CronDialect::Scheduler, 0).unwrap()
}

fn crontab(text: &str) -> Crontab {
    let crontab = Crontab::parse(text.as_bytes(), Format::system(TimeZone::UTC));
    assert!(crontab.is_sound(), "{:?}", crontab.problems);
    crontab
}

fn options() -> Options {
    Options {
        source: "crontab/x".to_owned(),
        command: "render".to_owned(),
        zone: Some("Asia/Shanghai".to_owned()),
        credentials: None,
        state_claim: None,
    }
}

#[test]
fn a_unit_loads_the_secret_of_its_own_target_alone() {
    let loaded = |arguments: &str, known: Option<&[(Option<&str>, &[&str])]>| {
        let owned = |(target, names): &(Option<&str>, &[&str])| {
            (target.map(str::to_owned), names.iter().map(|name| (*name).to_owned()).collect())
        };
        let credentials = known.map(|known| known.iter().map(owned).collect());
        let crontab = crontab(&format!("0 * * * * root /usr/local/bin/qs-api-call {arguments}/x /l\n"));
        let units = systemd(&crontab, &Options { credentials, ..options() }).unwrap();
        let lines = units[0].content.lines().filter_map(|line| line.strip_prefix("LoadCredential="));
        lines.skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let own = "eu.iam-password:/etc/qs-server/credentials/eu.iam-password";
    let unnamed = "iam-password:/etc/qs-server/credentials/iam-password";
    assert_eq!(loaded("", None), [unnamed]);
    assert_eq!(loaded("--target eu ", None), [own]);
    assert_eq!(loaded("--target eu --no-auth ", None), [""; 0]);
    let known: &[(Option<&str>, &[&str])] =
        &[(None, &["iam-password"]), (Some("eu"), &["iam-password"]), (Some("open"), &[])];
    assert_eq!(loaded("--target eu ", Some(known)), [unnamed]);
    assert_eq!(loaded("--target open ", Some(known)), [""; 0]);
}

#[test]
fn calendars_name_the_same_times() {
    for (text, calendars) in [
        ("0 * * * *", vec!["*-*-* *:00:00"]),
        ("*/15 2 * * *", vec!["*-*-* 02:00,15,30,45:00"]),
        ("0 9-17 * * 1-5", vec!["Mon,Tue,Wed,Thu,Fri *-*-* 09..17:00:00"]),
        ("0 0 13 * 5", vec!["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 */16 * 5", vec!["Fri *-*-01,17 00:00:00"]),
        ("0 0 1-31 * 5", vec!["*-*-* 00:00:00"]),
        ("0 0 1 1,7 *", vec!["*-01,07-01 00:00:00"]),
        ("0 0 * * 0,6", vec!["Sat,Sun *-*-* 00:00:00"]),
        ("*/30 0 2 * * *", vec!["*-*-* 02:00:00,30"]),
    ] {
        assert_eq!(systemd::calendar(&expr(text)), calendars, "{text}");
    }
}

#[test]
fn the_controllers_dialect_names_the_same_times_or_is_refused() {
    for (text, schedule) in [
        ("@hourly", Ok("0 * * * *")),
        ("*/15 * * * *", Ok("*/15 * * * *")),
        ("0 0 * * 7", Ok("0 0 * * 0")),
        ("0 0 * * 5-7", Ok("0 0 * * 0,5,6")),
        ("0 0 13 * 5", Ok("0 0 13 * 5")),
        ("0 0 1-31 * 5", Ok("0 0 * * *")),
        ("0 0 */2 * *", Ok("0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *")),
        ("0 0 */2 * 5", Err("Kubernetes would fire when either day matches, cron when both do")),
        ("30 0 0 * * *", Err("Kubernetes has no seconds")),
        ("0 0 1 jan *", Ok("0 0 1 1 *")),
    ] {
        assert_eq!(kubernetes::schedule(&expr(text)).as_deref().map_err(|why| *why), schedule, "{text}");
    }
}

#[test]
fn what_needs_a_shell_is_refused_with_its_line() {
    for (line, why) in [
        ("0 * * * * root /usr/bin/backup", "not a call"),
        ("0 * * * * root /usr/bin/qs-api-call /x >> /tmp/log 2>&1", "redirection"),
        ("0 * * * * root cd / && /usr/bin/qs-api-call /x", "not a call"),
    ] {
        let crontab = crontab(&format!("# first\n{line}\n"));
        for result in [super::systemd(&crontab, &options()), super::kubernetes(&crontab, &options())] {
            let error = result.unwrap_err();
            assert!(error.line == 2 && error.why.contains(why), "{line}: {error:?}");
        }
    }
}

#[test]
fn values_are_quoted_for_their_reader() {
    let crontab = crontab(
        "API_BASE_URL=https://a/%20\n0 * * * * root N='a b' /usr/bin/qs-api-call -d '{\"a\": \"$x\"}' /x\\%2F\n",
    );
    let units = super::systemd(&crontab, &options()).unwrap();
    let service = &units[0].content;
    assert!(service.contains("-d \"{\\\"a\\\": \\\"$$x\\\"}\" /x%%2F\n"), "{service}");
    assert!(service.contains("Environment=API_BASE_URL=https://a/%%20\n"), "{service}");
    assert!(service.contains("Environment=\"N=a b\"\n"), "{service}");
    let manifest = &super::kubernetes(&crontab, &options()).unwrap()[0].content;
    assert!(manifest.contains("                - \"{\\\"a\\\": \\\"$$x\\\"}\"\n"), "{manifest}");
}

#[test]
fn what_is_put_into_a_template_is_not_a_template() {
    let crontab =
        crontab("0 * * * * root A=1 A=2 /usr/bin/qs-api-call -d '{\"t\":{\"x\":\"{{limit}}\"}}' /x\n");
    let units = super::systemd(&crontab, &options()).unwrap();
    assert!(units[0].content.contains("{{limit}}"), "{}", units[0].content);
    assert_eq!(units[0].content.matches("Environment=A=").count(), 1);
    for line in
        ["0 * * * * root /usr/bin/qs-api-call --task 'a b' /x\n", "@reboot root /usr/bin/qs-api-call /x\n"]
    {
        let crontab = self::crontab(&line.replace("--task 'a b'", "--task a/b"));
        assert!(super::systemd(&crontab, &options()).is_err(), "{line}");
    }
}

#[test]
fn limits_follow_the_call() {
    let crontab = crontab(
        "*/2 * * * * root /usr/bin/qs-api-call --timeout 1m --jitter 30s /x\n5 0 * * * root /usr/bin/qs-api-call --idempotent --overlap parallel /y\n",
    );
    let files = super::kubernetes(&crontab, &options()).unwrap();
    let first = &files[0].content;
    assert!(first.contains("activeDeadlineSeconds: 150\n") && first.contains("backoffLimit: 0\n"), "{first}");
    assert!(first.contains("startingDeadlineSeconds: 119\n"), "{first}");
    let second = &files[1].content;
    assert!(
        second.contains("activeDeadlineSeconds: 780\n") && second.contains("concurrencyPolicy: Allow\n"),
        "{second}"
    );
    assert!(super::systemd(&crontab, &options()).unwrap_err().why.contains("parallel"));
}

#[test]
fn long_names_stay_names() {
    let long = "a/".repeat(60);
    let crontab = crontab(&format!(
        "0 * * * * root /usr/bin/qs-api-call /api/v1/{long}b\n1 * * * * root /usr/bin/qs-api-call /api/v1/{long}c\n2 * * * * root /usr/bin/qs-api-call /api/v1/x\n3 * * * * root /usr/bin/qs-api-call /api/v1/x\n"
    ));
    let names: Vec<String> =
        super::kubernetes(&crontab, &options()).unwrap().into_iter().map(|file| file.name).collect();
    assert!(names.iter().all(|name| name.len() <= 52 + ".yaml".len()), "{names:?}");
    assert_ne!(names[0], names[1]);
    assert_eq!(names[2..], ["qs-x.yaml", "qs-x-2.yaml"]);
}

#[test]
fn a_users_crontab_gets_its_user() {
    let format = Format { user_column: false, ..Format::system(TimeZone::UTC) };
    let crontab = Crontab::parse(b"A=b\r\n# c\r\n0 * * * *  /bin/x  y\r\n@daily z", format);
    assert_eq!(
        cron_d(&crontab, "x", "app").unwrap().content,
        "A=b\n# c\n0 * * * *  app /bin/x  y\n@daily app z\n"
    );
    assert!(
        table(&crontab).contains("| at minute 0 of every hour | `0 * * * *` | line-3 | `/bin/x  y` |  |")
    );
}
