//! The layers of a configuration: files and environment over the defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::call;
use super::env::{Env, dotted, variable};
use super::field::Value;
use super::file::{ConfigFile, FileContent, FileValue, of_target};
use super::names;
use super::problem::{ConfigError, Origin, Problem};
use super::setting::Setting;
use crate::domain::nearest::nearest;

/// A configuration with the origin of each value that is not the default.
#[derive(Clone, Debug)]
pub struct Loaded<C> {
    /// The values.
    pub config: C,
    /// Where each came from, by key.
    pub origins: BTreeMap<&'static str, Origin>,
    /// The target that it is for; none for the unnamed one.
    pub target: Option<String>,
    /// Keys that the target names, with or without a value; the others are inherited.
    pub own: BTreeSet<&'static str>,
    /// Secret keys and the files that hold one, whether or not that value is the one that counts.
    pub secrets_in_files: BTreeSet<(&'static str, PathBuf)>,
}

impl<C> Loaded<C> {
    /// Where the value of `key` came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// A key as it is written where its value was set: `targets.NAME.section.key` when it is the target's own.
    pub fn full_key(&self, key: &str) -> String {
        of_target(self.target.as_deref().filter(|_| self.own.contains(key)), key)
    }

    /// A problem with the value of `key`, at the place where it was set.
    pub fn problem(&self, key: &str, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            origin: self.origin(key),
            key: self.full_key(key),
            value: None,
            message: message.into(),
            hint,
        }
    }
}

/// Lays the files (weakest first) and the environment over the defaults.
///
/// # Errors
/// Every unknown key, unreadable value and malformed file, all at once.
pub fn load<C: Default>(
    settings: &'static [Setting<C>],
    files: &[ConfigFile],
    env: &Env,
) -> Result<Loaded<C>, ConfigError> {
    let mut given = gather(settings, files, env);
    for (name, origin) in given.targets {
        let (key, message) = (of_target(Some(&name), ""), "this program has no targets".to_owned());
        let key = key.trim_end_matches('.').to_owned();
        given.problems.push(Problem { origin, key, value: None, message, hint: None });
    }
    given.values.retain(|value| value.target.is_none());
    let mut layers = Layers::new(settings, None, given.problems);
    layers.set_all(&given.values);
    layers.finish()
}

/// Everything that the files and the environment give, weakest first: files in their order, plain names (the scripts'
/// `TIMEOUT`), then the full ones, which win.
pub(super) fn gather<C>(settings: &[Setting<C>], files: &[ConfigFile], env: &Env) -> FileContent {
    let mut all = FileContent::default();
    for file in files {
        let FileContent { values, targets, problems } = file.content();
        all.values.extend(values);
        all.targets.extend(targets);
        all.problems.extend(problems);
    }
    environment(settings, env, &mut all);
    all
}

/// The variables that are settings of this program, and a problem for each that is none of any.
fn environment<C>(settings: &[Setting<C>], env: &Env, all: &mut FileContent) {
    let mut set = |key: &str, value: &str, variable: &str| {
        let (value, origin) = (Some(Value::Text(value.to_owned())), Origin::Env(variable.to_owned()));
        all.values.push(FileValue { target: None, key: key.to_owned(), value, origin });
    };
    for setting in settings {
        for name in setting.env {
            if let Some(value) = env.get(name) {
                set(setting.key, value, name);
            }
        }
    }
    let mut problems = Vec::new();
    for (name, value) in env.ours() {
        match dotted(name) {
            Some(key) if settings.iter().any(|setting| setting.key == key) => set(&key, value, name),
            _ => problems.extend(unknown(settings, name, value)),
        }
    }
    all.problems.extend(problems);
    for name in env.no_text() {
        let plain = settings.iter().find(|setting| setting.env.contains(&name.as_str()));
        if let Some(key) = plain.map(|setting| setting.key.to_owned()).or_else(|| dotted(name)) {
            let (origin, message) = (Origin::Env(name.clone()), "expected UTF-8 text".to_owned());
            all.problems.push(Problem { origin, key, value: None, message, hint: None });
        }
    }
}

/// The problem of a variable that is meant for the programs and that none of them knows. Its value, which is not shown, may
/// be a secret under a mistyped name.
fn unknown<C>(settings: &[Setting<C>], name: &str, value: &str) -> Option<Problem> {
    let key = dotted(name).unwrap_or_default();
    // Programs share one environment: a variable may belong to another.
    let is_known =
        settings.iter().any(|setting| setting.key == key) || names::keys().any(|known| known == key);
    if !name.starts_with("QS_") || value.is_empty() || is_known || names::is_no_setting(name, value) {
        return None;
    }
    let keys = settings.iter().map(|setting| setting.key).chain(names::keys());
    let variables: Vec<String> = keys.map(|key| variable(None, key)).collect();
    let hint = nearest(name, variables.iter().map(String::as_str))
        .map_or("unset it, or call it without QS_".to_owned(), |known| format!("did you mean {known}?"));
    let message = if key.is_empty() { "unknown variable" } else { "unknown key" }.to_owned();
    let origin = Origin::Env(name.to_owned());
    Some(Problem { origin, key, value: None, message, hint: Some(hint) })
}

/// What to do about a variable that begins with `QS_` and that no program knows, so that a call would not be made; none for
/// every other one.
pub fn unknown_variable(name: &str, value: &str) -> Option<String> {
    unknown(&call::SETTINGS, name, value).and_then(|problem| problem.hint)
}

/// A configuration that is being put together.
pub(super) struct Layers<C: 'static> {
    settings: &'static [Setting<C>],
    loaded: Loaded<C>,
    problems: Vec<Problem>,
}

impl<C: Default> Layers<C> {
    /// The defaults, for a target or the unnamed one.
    pub(super) fn new(
        settings: &'static [Setting<C>],
        target: Option<String>,
        problems: Vec<Problem>,
    ) -> Self {
        let loaded = Loaded {
            config: C::default(),
            origins: BTreeMap::new(),
            target,
            own: BTreeSet::new(),
            secrets_in_files: BTreeSet::new(),
        };
        Self { settings, loaded, problems }
    }
}

impl<C> Layers<C> {
    /// Lays values over what is there; the last one of a key counts.
    pub(super) fn set_all<'a>(&mut self, values: impl IntoIterator<Item = &'a FileValue>) {
        for FileValue { target, key, value, origin } in values {
            let own = target.as_deref();
            let Some(setting) = self.settings.iter().find(|setting| setting.key == key) else {
                let hint = near(self.settings, own, key, origin);
                self.problem(origin.clone(), of_target(own, key), None, "unknown key".to_owned(), hint);
                continue;
            };
            if own.is_some() {
                self.loaded.own.insert(setting.key);
            }
            if let Some(value) = value {
                self.set(setting, own, value, origin);
            }
        }
    }

    fn set(&mut self, setting: &'static Setting<C>, target: Option<&str>, value: &Value, origin: &Origin) {
        if let (true, Origin::File { path, .. }) = (setting.secret, origin) {
            self.loaded.secrets_in_files.insert((setting.key, path.clone()));
        }
        match (setting.set)(&mut self.loaded.config, value) {
            Ok(()) => {
                self.loaded.origins.insert(setting.key, origin.clone());
            }
            Err(message) => {
                let shown = match value {
                    _ if setting.secret => None,
                    Value::Text(text) => Some(text.clone()),
                    Value::List(items) => Some(items.join(", ")),
                };
                self.problem(origin.clone(), of_target(target, setting.key), shown, message, None);
            }
        }
    }

    fn problem(
        &mut self,
        origin: Origin,
        key: String,
        value: Option<String>,
        message: String,
        hint: Option<String>,
    ) {
        self.problems.push(Problem { origin, key, value, message, hint });
    }

    /// What was put together, or everything that is wrong with it.
    pub(super) fn finish(mut self) -> Result<Loaded<C>, ConfigError> {
        if self.problems.is_empty() {
            return Ok(self.loaded);
        }
        // Whoever mends them goes through the files, then the environment.
        self.problems.sort_by_key(|problem| matches!(problem.origin, Origin::Env(_)));
        Err(ConfigError { problems: self.problems })
    }
}

/// The known key that is nearest to an unknown one, as it would be written in the same place.
fn near<C>(settings: &[Setting<C>], target: Option<&str>, key: &str, origin: &Origin) -> Option<String> {
    nearest(key, settings.iter().map(|setting| setting.key)).map(|known| {
        let name = match origin {
            Origin::Env(_) => variable(target, known),
            _ => of_target(target, known),
        };
        format!("did you mean {name}?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::setting;
    use std::time::Duration;

    #[derive(Default)]
    struct Sample {
        call: Call,
    }

    #[derive(Default)]
    struct Call {
        timeout: Duration,
        codes: Vec<i64>,
    }

    static SETTINGS: [Setting<Sample>; 2] = [setting!(call.timeout, ["TIMEOUT"]), setting!(call.codes)];

    fn file(text: &str) -> ConfigFile {
        ConfigFile { path: "c.yaml".into(), text: text.to_owned() }
    }

    fn problems(text: &str, env: &Env) -> Vec<String> {
        let error = load(&SETTINGS, &[file(text)], env).err().expect("must be refused");
        error.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unknown_variable_is_told_with_the_nearest() {
        let hint = unknown_variable("QS_CALL__TIMOUT", "5s").unwrap();
        assert_eq!(hint, "did you mean QS_CALL__TIMEOUT?");
        assert!(unknown_variable("QS_CALL_TIMEOUT", "5s").is_some());
        for name in [
            "QS_CALL__TIMEOUT",
            "QS_SERVER__ADDR",
            "QS_TEST_X",
            "QS_TARGETS__A__API__BASE_URL",
            "QSX",
            "PATH",
        ] {
            assert_eq!(unknown_variable(name, "1"), None, "{name}");
        }
        assert_eq!(unknown_variable("QS_CALL__TIMOUT", ""), None, "empty is unset");
    }

    #[test]
    fn the_environment_beats_the_file_and_the_full_name_beats_the_short_one() {
        let text = "call:\n  timeout: 5m\n  codes: [0, 200]\n";
        let loaded = load(&SETTINGS, &[file(text)], &Env::default()).unwrap();
        assert_eq!(loaded.config.call.timeout, Duration::from_secs(300));
        assert_eq!(loaded.config.call.codes, [0, 200]);
        assert_eq!(loaded.origin("call.timeout").to_string(), "c.yaml:2:12");

        let others =
            [("QS_SERVER__ADDR", "another program's"), ("QS_LOG__LEVEL", "debug"), ("QS_BLESS", "1")];
        let [server, log, bless] = others;
        let env = Env::from([("TIMEOUT", "7"), server, log, bless]);
        assert_eq!(load(&SETTINGS, &[file(text)], &env).unwrap().config.call.timeout, Duration::from_secs(7));

        let env = Env::from([("TIMEOUT", "7"), ("QS_CALL__TIMEOUT", "8")]);
        let loaded = load(&SETTINGS, &[file(text)], &env).unwrap();
        assert_eq!(loaded.config.call.timeout, Duration::from_secs(8));
        assert_eq!(loaded.origin("call.timeout"), Origin::Env("QS_CALL__TIMEOUT".to_owned()));
    }

    #[test]
    fn a_later_file_wins_and_an_empty_value_changes_nothing() {
        let files = [file("call: {timeout: 1s}"), file("call:\n  timeout: 2s\n  codes:\n")];
        let loaded = load(&SETTINGS, &files, &Env::default()).unwrap();
        assert_eq!(loaded.config.call.timeout, Duration::from_secs(2));
        assert!(load(&SETTINGS, &[file("# only a comment\n")], &Env::default()).is_ok());
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let found =
            problems("call:\n  timout: 5m\n  codes: [0, x]\n", &Env::from([("QS_CALL__TIMEOUTS", "1")]));
        assert_eq!(
            found,
            [
                "c.yaml:2:11: call.timout: unknown key (hint: did you mean call.timeout?)",
                "c.yaml:3:10: call.codes = \"0, x\": expected a whole number from -9223372036854775808 to 9223372036854775807",
                "environment QS_CALL__TIMEOUTS: call.timeouts: unknown key (hint: did you mean QS_CALL__TIMEOUT?)",
            ]
        );
    }

    #[test]
    fn a_variable_that_no_program_knows_is_named_with_the_nearest() {
        for (name, expected) in [
            (
                "QS_CALL_TIMEOUT",
                "environment QS_CALL_TIMEOUT: unknown variable (hint: did you mean QS_CALL__TIMEOUT?)",
            ),
            (
                "QS_SERVER__ADR",
                "environment QS_SERVER__ADR: server.adr: unknown key (hint: did you mean QS_SERVER__ADDR?)",
            ),
            (
                "QS_QUITE_ELSEWHERE_ALTOGETHER",
                "environment QS_QUITE_ELSEWHERE_ALTOGETHER: unknown variable (hint: unset it, or call it without QS_)",
            ),
        ] {
            assert_eq!(problems("", &Env::from([(name, "hunter2")])), [expected]);
        }
    }

    #[test]
    fn a_file_that_is_no_yaml_names_line_and_column_and_shows_no_neighbour() {
        let found = problems("iam:\n  password: hunter2\n  x: [\n", &Env::default());
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("c.yaml:"), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }

    #[test]
    fn a_section_must_be_a_section() {
        let found = problems("call: 5\n", &Env::default());
        assert!(found[0].starts_with("c.yaml:1:1: call: expected a section"), "{found:?}");
    }
}
