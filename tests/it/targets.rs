//! Several servers in one configuration: each target has an address, an IAM and a token of its own, and nothing of one is
//! ever seen by another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::fake::{Answer, FakeServer, Received};
use crate::support::world::{ENDPOINT, LOGIN, Ran, World, success};

/// Processes at once.
const HERD: usize = 200;
/// The targets that log in.
const CLOSED: [&str; 2] = ["a", "b-2"];

/// An IAM and an API of one target, on servers of their own.
struct Site {
    name: &'static str,
    iam: FakeServer,
    api: FakeServer,
}

impl Site {
    fn start(name: &'static str) -> Self {
        let granted = Arc::new(AtomicUsize::new(0));
        let newest = Arc::clone(&granted);
        let iam = FakeServer::start(move |request| {
            if request.path != LOGIN || !request.text().contains(&format!("secret of {name}")) {
                return Answer::status(401);
            }
            let number = granted.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!("token-of-{name}-{number}");
            Answer::json(200, &json!({"code": 0, "data": {"access_token": token, "expires_in": 900}}))
        });
        let api = FakeServer::start(move |request| {
            let good = format!("Bearer token-of-{name}-{}", newest.load(Ordering::SeqCst));
            if request.header("authorization") == Some(&good) { success() } else { Answer::status(401) }
        });
        Self { name, iam, api }
    }

    /// As lines of the configuration, below `targets`; the password is in `password`, if it is not elsewhere.
    fn yaml(&self, token: &Path, password: Option<&str>) -> String {
        let password = password.map(|text| format!(", password: {text:?}")).unwrap_or_default();
        format!(
            "  {name}:\n    api: {{base_url: {:?}}}\n    iam: {{base_url: \"{}/api/v1\", username: user-{name}{password}}}\n    token: {{file: {}}}\n",
            self.api.url(),
            self.iam.url(),
            token.display(),
            name = self.name,
        )
    }
}

/// A world with three targets: two that log in, each at its own IAM, and an open one.
struct Team {
    world: World,
    sites: Vec<Site>,
    open: FakeServer,
}

impl Team {
    /// The passwords are in the configuration, or nowhere.
    fn start(with_passwords: bool) -> Self {
        let (sites, open) = (CLOSED.map(Site::start).into(), FakeServer::start(|_| success()));
        let team = Self { world: World::new(), sites, open };
        let dir = team.config().parent().unwrap().to_owned();
        std::fs::create_dir_all(&dir).unwrap();
        let mut yaml = "targets:\n".to_owned();
        for site in &team.sites {
            let password = with_passwords.then(|| format!("secret of {}", site.name));
            yaml += &site.yaml(&team.token(site.name), password.as_deref());
        }
        yaml +=
            &format!("  open:\n    api: {{base_url: {:?}}}\n    call: {{no_auth: true}}\n", team.open.url());
        team.world.write_secret("home/.config/qs-scheduler/qs-api-call.yaml", &yaml);
        team
    }

    fn config(&self) -> PathBuf {
        self.world.path("home/.config/qs-scheduler/qs-api-call.yaml")
    }

    fn token(&self, name: &str) -> PathBuf {
        self.world.path(&format!("token-{name}"))
    }

    /// One line for each target.
    fn crontab(&self, options: &str) -> PathBuf {
        let line = |name: &str| {
            let log = self.world.path(&format!("{name}.log"));
            format!(
                "*/5 * * * * root /usr/local/bin/qs-api-call {options}--target {name} {ENDPOINT} {}\n",
                log.display()
            )
        };
        let lines: String = CLOSED.into_iter().chain(["open"]).map(line).collect();
        self.world.write_secret("crontab", &format!("MAILTO=root\n{lines}"))
    }

    /// What no target may have seen of another.
    fn assert_separate(&self) {
        for site in &self.sites {
            let (name, secret) = (site.name, format!("secret of {}", site.name));
            for login in asked(&site.iam) {
                assert_eq!((login.path.as_str(), login.header("authorization")), (LOGIN, None), "{name}");
                assert!(login.text().contains(&secret), "{name} was sent another's password: {login:?}");
            }
            let foreign = |request: &Received| {
                request
                    .header("authorization")
                    .is_none_or(|bearer| bearer != format!("Bearer token-of-{name}-1"))
            };
            assert!(!asked(&site.api).iter().any(foreign), "{name}: {:?}", site.api.requests());
        }
        let open = self.open.requests();
        assert!(open.iter().all(|request| request.header("authorization").is_none()), "{open:?}");
    }

    fn logins(&self) -> Vec<usize> {
        self.sites.iter().map(|site| site.iam.count(LOGIN)).collect()
    }
}

/// What was asked of a server, without the question of `check` whether it is there, which carries nothing.
fn asked(server: &FakeServer) -> Vec<Received> {
    let is_greeting =
        |request: &Received| request.path == "/health" && request.header("authorization").is_none();
    server.requests().into_iter().filter(|request| !is_greeting(request)).collect()
}

/// The words of the calls in a crontab, without the program.
fn calls(crontab: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(crontab).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("qs-api-call "));
    lines.map(|(_, arguments)| shlex::split(arguments).unwrap()).collect()
}

fn ends(children: Vec<Child>) -> Vec<Ran> {
    children.into_iter().map(|child| Ran::of(&child.wait_with_output().expect("it was started"))).collect()
}

#[test]
fn two_hundred_processes_of_three_targets_log_in_once_at_each_iam_and_mix_nothing() {
    let team = Team::start(true);
    for name in CLOSED {
        team.world.write_secret(&format!("token-{name}"), "expired-token");
        let file = std::fs::File::options().write(true).open(team.token(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let calls = calls(&team.crontab("--overlap parallel "));
    let start = |number: usize| {
        let words: Vec<&str> = calls[number % calls.len()].iter().map(String::as_str).collect();
        team.world.spawn(&words)
    };
    let runs = ends((0..HERD).map(start).collect());
    for ran in &runs {
        ran.assert_silent_success();
    }
    assert_eq!(team.logins(), [1, 1]);
    let sent = team.sites.iter().map(|site| &site.api).chain([&team.open]);
    assert_eq!(sent.map(|api| api.count(ENDPOINT)).collect::<Vec<_>>(), [67, 67, 66]);
    team.assert_separate();
    let status = team.world.run(&["status", "--json"]).json();
    let rows: BTreeMap<&str, u64> = status
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["last"]["target"].as_str().unwrap(), row["totals"]["success"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, BTreeMap::from([("a", 67), ("b-2", 67), ("open", 66)]));
    let table = team.world.run(&["status"]).stdout;
    assert!(table.contains("TARGET") && table.contains("b-2"), "{table}");
}

/// `KEY=value` lines of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let prefix = format!("{key}=");
    unit.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
}

/// The program as a runner starts it: nothing in its environment but this.
fn start(words: &[String], environment: &[(String, String)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qs-api-call"));
    command.args(words).env_clear().envs(environment.iter().cloned()).stdin(Stdio::null());
    Ran::of(&command.output().expect("the program starts"))
}

fn render(team: &Team, form: &str, options: &[&str]) -> Vec<String> {
    let (crontab, dir) = (team.crontab(""), team.world.path(form));
    let (crontab, output) = (crontab.display().to_string(), dir.display().to_string());
    let ran = team.world.run(&[&["crontab", "render", form, "-o", &output], options, &[&crontab]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|end| end != "timer"));
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The password files of the targets as secrets that are handed over.
fn secrets(team: &Team) -> BTreeMap<String, String> {
    let of_site = |site: &Site| (format!("{}.iam-password", site.name), format!("secret of {}", site.name));
    team.sites.iter().map(of_site).collect()
}

#[test]
fn rendered_units_run_each_target_with_the_credentials_of_its_own() {
    let team = Team::start(false);
    let config = team.config().display().to_string();
    let units = render(&team, "systemd", &["--config", &config]);
    assert_eq!(units.len(), 3);
    let mut loaded = Vec::new();
    for (number, unit) in units.iter().enumerate() {
        let place = team.world.path(&format!("credentials-{number}"));
        std::fs::create_dir(&place).unwrap();
        for credential in values(unit, "LoadCredential") {
            let (name, source) = credential.split_once(':').unwrap();
            let content = match name {
                "qs-api-call.yaml" => team.world.read("home/.config/qs-scheduler/qs-api-call.yaml"),
                _ => secrets(&team)[source.rsplit('/').next().unwrap()].clone(),
            };
            team.world.write_secret(&format!("credentials-{number}/{name}"), &content);
            loaded.push(name.to_owned());
        }
        let state = team.world.path("units").display().to_string();
        // systemd makes the state directory of a unit.
        std::fs::create_dir_all(&state).unwrap();
        let fill = |text: &str| {
            text.replace("%d", &place.display().to_string()).replace("%S", &state).replace("%%", "%")
        };
        let words = shlex::split(&fill(values(unit, "ExecStart")[0]).replace("$$", "$")).unwrap();
        let environment = values(unit, "Environment").into_iter().map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), fill(value))
        });
        let own = [("CREDENTIALS_DIRECTORY".to_owned(), place.display().to_string())];
        start(&words[1..], &environment.chain(own).collect::<Vec<_>>()).assert_silent_success();
    }
    loaded.retain(|name| name != "qs-api-call.yaml");
    loaded.sort();
    assert_eq!(loaded, ["a.iam-password", "b-2.iam-password"], "the open one has no secret at all");
    assert_eq!(team.logins(), [1, 1]);
    team.assert_separate();
}

/// The scalars of a list in a manifest, and the pairs of its environment.
fn of_manifest(manifest: &str) -> (Vec<String>, Vec<(String, String)>) {
    let scalar = |text: &str| {
        let text = text.trim();
        let plain = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
        plain.replace("$$", "$")
    };
    let (_, behind) = manifest.split_once("args:\n").unwrap();
    let (arguments, behind) = behind.split_once("              env:\n").unwrap();
    let (environment, _) = behind.split_once("              securityContext:\n").unwrap();
    let arguments = arguments.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(scalar).collect();
    let names = environment.lines().filter_map(|line| line.trim().strip_prefix("- name: ")).map(scalar);
    let given = environment.lines().filter_map(|line| line.trim().strip_prefix("value: ")).map(scalar);
    (arguments, names.zip(given).collect())
}

#[test]
fn rendered_manifests_run_each_target_with_one_secret_for_all() {
    let team = Team::start(false);
    let place = team.world.path("secret");
    std::fs::create_dir(&place).unwrap();
    for (name, content) in secrets(&team) {
        team.world.write_secret(&format!("secret/{name}"), &content);
    }
    let mut targets = Vec::new();
    for manifest in render(&team, "kubernetes", &[]) {
        let (arguments, mut environment) = of_manifest(&manifest);
        for (name, value) in &mut environment {
            match name.as_str() {
                "CREDENTIALS_DIRECTORY" => *value = place.display().to_string(),
                "QS_STATE__DIR" => *value = team.world.path("pod").display().to_string(),
                _ => {}
            }
        }
        // The volume with the configuration: a user's own is read as the one in /etc is.
        environment.push(("HOME".to_owned(), team.world.path("home").display().to_string()));
        let ran = start(&arguments, &environment);
        assert_eq!(ran.code, 0, "{ran:?}");
        targets.push(ran.json()["target"].as_str().unwrap().to_owned());
    }
    targets.sort();
    assert_eq!(targets, ["a", "b-2", "open"]);
    assert_eq!(team.logins(), [1, 1]);
    team.assert_separate();
}

#[test]
fn the_commands_know_the_targets() {
    let team = Team::start(true);
    let run = |args: &[&str]| team.world.run(args);
    let unknown = run(&["--target", "opne", ENDPOINT]);
    unknown.assert_failure(78);
    assert!(unknown.stderr.contains("there is no target \"opne\" (hint: did you mean open?)"), "{unknown:?}");
    run(&["--target", "No_Name", ENDPOINT]).assert_failure(64);

    let check = run(&["check", "--target", "a", ENDPOINT]);
    assert_eq!(check.code, 0, "{check:?}");
    let open = run(&["check", "--target", "open", ENDPOINT]);
    assert!(open.code == 0 && open.stdout.contains("calls carry no credential"), "{open:?}");
    let all = run(&["check", "--all-targets", "--json"]);
    assert_ne!(all.code, 0, "the unnamed one has no server");
    let checked = |target: Option<&str>| {
        all.json().as_array().unwrap().iter().filter(|item| item["target"].as_str() == target).count()
    };
    assert!(
        [None, Some("a"), Some("b-2"), Some("open")].into_iter().all(|target| checked(target) > 4),
        "{all:?}"
    );

    let status = run(&["token", "status", "--target", "a", "--json"]).json();
    assert_eq!((&status["state"], &status["file"]), (&json!("valid"), &json!(team.token("a"))));
    assert_eq!(run(&["--target", "b-2", "token", "print"]).stdout, "token-of-b-2-1\n");
    let none = run(&["token", "--target", "open", "status"]);
    none.assert_failure(78);
    assert!(none.stderr.contains("target open uses no token: call.no_auth is set ("), "{none:?}");

    let shown = run(&["config", "show", "--target", "a", "--json"]).json();
    assert_eq!(shown["iam.username"]["value"], "user-a");
    let origin = shown["iam.username"]["origin"].as_str().unwrap();
    assert!(origin.contains("qs-api-call.yaml:4:"), "{origin}");
    assert_eq!(shown["token.max_age"]["origin"], "default");
    // The other target's login alone was used by what was done here.
    assert_eq!(team.logins(), [1, 1]);
    team.assert_separate();
}

#[test]
fn a_password_of_the_environment_is_not_for_a_target_with_an_iam_of_its_own() {
    let team = Team::start(false);
    // The world's IAM_PASSWORD and a credential without a name are the unnamed one's.
    let credentials = team.world.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    team.world.write_secret("credentials/iam-password", "the unnamed one's");
    let run = |more: &[(&str, &str)]| {
        let mut command = team.world.command(&["--target", "a", ENDPOINT]);
        command.env("CREDENTIALS_DIRECTORY", &credentials).envs(more.iter().copied());
        Ran::of(&command.output().unwrap())
    };
    run(&[]).assert_failure(78);
    assert_eq!(team.logins(), [0, 0]);
    run(&[("QS_TARGETS__A__IAM__PASSWORD", "secret of a")]).assert_silent_success();
    let other = team.world.run(&["--target", "b-2", ENDPOINT]);
    other.assert_failure(78);
    drop(team.world.run(&["--target", "open", ENDPOINT]));
    assert_eq!(team.logins(), [1, 0]);
    team.world.write_secret("credentials/b-2.iam-password", "secret of b-2");
    let mut command = team.world.command(&["--target", "b-2", ENDPOINT]);
    Ran::of(&command.env("CREDENTIALS_DIRECTORY", &credentials).output().unwrap()).assert_silent_success();
    team.assert_separate();
}

#[test]
fn two_targets_never_share_a_token_file() {
    let world = World::new();
    let shared = world.path("token").display().to_string();
    let yaml =
        format!("targets:\n  a:\n    api: {{base_url: http://127.0.0.1:1}}\n    token: {{file: {shared}}}\n");
    let path = world.write_secret("shared.yaml", &yaml).display().to_string();
    for target in [&[][..], &["--target", "a"]] {
        let ran = world.run(&[target, &["--config", &path, ENDPOINT]].concat());
        ran.assert_failure(78);
        assert!(
            ran.stderr.contains(
                "shared.yaml:4:19: targets.a.token.file: target a and the unnamed target have one token file"
            ),
            "{ran:?}"
        );
    }
}

#[test]
fn a_crontab_is_checked_against_the_configuration_that_is_named() {
    let team = Team::start(true);
    let (config, crontab) = (team.config().display().to_string(), team.crontab("").display().to_string());
    let rules = |args: &[&str]| {
        let ran = team.world.run(&[&["crontab", "check", "--json"], args].concat());
        let problems = ran.json()["problems"].as_array().unwrap().clone();
        let targets = problems.iter().filter(|problem| {
            problem["rule"].as_str().is_some_and(|rule| rule.contains("target") || rule == "call-arguments")
        });
        let found: Vec<String> =
            targets.map(|problem| format!("{} {}", problem["rule"], problem["fix"])).collect();
        (ran.code, found)
    };
    assert_eq!(rules(&["--config", &config, &crontab]), (0, vec![]));
    let text = std::fs::read_to_string(&crontab).unwrap();
    let wrong = team
        .world
        .write_secret("wrong", &text.replace("--target open", "--target opne"))
        .display()
        .to_string();
    assert_eq!(rules(&[&wrong]), (0, vec![]), "what is not known is not judged");
    assert_eq!(
        rules(&["--config", &config, &wrong]),
        (78, vec!["\"unknown-target\" \"did you mean open?\"".to_owned()])
    );
    let never = team
        .world
        .write_secret("never", &text.replace("--target open", "--target Open"))
        .display()
        .to_string();
    let (code, found) = rules(&[&never]);
    assert!(code == 78 && found.len() == 1 && found[0].contains("call-arguments"), "{found:?}");
    let made = text
        .replace("MAILTO=root", "MAILTO=root\nQS_TARGETS__OPNE__API__BASE_URL=http://x")
        .replace("--target open", "--target opne");
    let made = team.world.write_secret("made", &made).display().to_string();
    assert_eq!(rules(&["--config", &config, &made]), (0, vec![]), "a setting above the line makes it");
    for site in &team.sites {
        drop(team.world.run(&["--target", site.name, ENDPOINT]));
    }
    drop(team.world.run(&["--target", "open", ENDPOINT]));
}
