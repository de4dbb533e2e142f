//! What a target of `qs-api-call` inherits, and how one is chosen.

use std::collections::BTreeSet;

use super::validate::validate;
use super::{CallConfig, LoginDialect, SETTINGS};
use crate::config::{
    ConfigError, ConfigFile, Env, Loaded, Origin, Problem, TargetRules, Targets, load_targets,
};
use crate::domain::target::instead;

/// The address and the token file are a target's own. The IAM is the unnamed one's as a whole, or the target's own as a
/// whole: a password must never go to an address that it was not written beside. The rest is inherited.
static RULES: TargetRules = TargetRules {
    sections: &["api", "iam", "token", "call", "tls"],
    required: "api.base_url",
    inherits: |key, own| match key.split_once('.') {
        Some(("api", _) | ("token", "file")) => false,
        Some(("iam", _)) => !has_own_iam(own),
        _ => true,
    },
};

fn has_own_iam(own: &BTreeSet<&str>) -> bool {
    own.iter().any(|key| key.starts_with("iam."))
}

/// The configuration with its targets.
pub type CallTargets = Targets<CallConfig>;

impl CallTargets {
    /// Reads files and environment.
    ///
    /// # Errors
    /// Everything that is wrong, in whichever target.
    pub fn read(files: &[ConfigFile], env: &Env) -> Result<Self, ConfigError> {
        let mut targets = load_targets(&SETTINGS, &RULES, files, env)?;
        for (name, loaded) in &mut targets.named {
            loaded.config.credentials_of = has_own_iam(&loaded.own).then(|| name.clone());
        }
        let mut problems = validate(&targets.unnamed);
        for problem in targets.named.values().flat_map(validate) {
            // One that is inherited is told once.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        Ok(targets)
    }

    /// The configuration of a target, or of the unnamed one.
    ///
    /// # Errors
    /// There is no such target: the nearest one, or how to add one.
    pub fn choose(mut self, name: Option<&str>) -> Result<Loaded<CallConfig>, ConfigError> {
        let Some(name) = name else { return Ok(self.unnamed) };
        self.named.remove(name).ok_or_else(|| ConfigError { problems: vec![self.unknown(name)] })
    }

    /// Why a name is no target's.
    pub fn unknown(&self, name: &str) -> Problem {
        let names: Vec<&str> = self.named.keys().map(String::as_str).collect();
        Problem {
            origin: Origin::Flag("--target"),
            key: String::new(),
            value: None,
            message: format!("there is no target {name:?}"),
            hint: Some(instead(name, &names)),
        }
    }
}

impl CallConfig {
    /// The files of `$CREDENTIALS_DIRECTORY` that a login needs: the secret, under the name that counts here.
    pub fn credentials(&self) -> Vec<String> {
        let secret = match self.iam.dialect {
            _ if self.call.no_auth => return Vec::new(),
            LoginDialect::OAuth2ClientCredentials => "iam-client-secret",
            _ => "iam-password",
        };
        vec![self.credential_name(secret)]
    }

    /// The name of a credential's file: a target with a login of its own has its own, so that none is read for another
    /// server.
    pub fn credential_name(&self, name: &str) -> String {
        self.credentials_of.as_ref().map_or_else(|| name.to_owned(), |target| format!("{target}.{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FILE: &str = "\
api: {base_url: 'https://top.example'}
iam: {base_url: 'https://iam.example', username: top, password: top-secret, scope: all}
token: {file: /t/top, max_age: 1m}
call: {timeout: 10s, retries: 5}
targets:
  prod:
    api: {base_url: 'https://prod.example'}
  eu-1:
    api: {base_url: 'https://eu.example'}
    iam: {base_url: 'https://eu-iam.example', username: eu}
    call: {timeout: 20s}
    token: {file: /t/eu}
  open:
    api:
      base_url: http://localhost:1
    call: {no_auth: true}
";

    fn read(text: &str, env: &Env) -> Result<CallTargets, Vec<String>> {
        let file = ConfigFile { path: "c.yaml".into(), text: text.to_owned() };
        CallTargets::read(&[file], env)
            .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
    }

    fn target(name: &str, env: &Env) -> Loaded<CallConfig> {
        read(FILE, env).unwrap().choose(Some(name)).unwrap()
    }

    #[test]
    fn a_target_inherits_the_iam_as_a_whole_and_the_rest_by_key() {
        let prod = target("prod", &Env::default());
        let config = &prod.config;
        assert_eq!(config.api.base_url.0, "https://prod.example");
        assert_eq!(config.iam.username.as_deref(), Some("top"));
        assert_eq!(config.token.file, None);
        assert_eq!((config.token.max_age, config.call.retries), (Duration::from_secs(60), 5));
        assert_eq!(config.credentials_of, None);
        assert_eq!(prod.full_key("api.base_url"), "targets.prod.api.base_url");
        assert_eq!(prod.full_key("iam.username"), "iam.username");
    }

    #[test]
    fn a_target_with_any_key_of_an_iam_has_nothing_of_another() {
        let eu = target("eu-1", &Env::from([("IAM_PASSWORD", "plain"), ("QS_IAM__AUDIENCE", "x")]));
        let iam = &eu.config.iam;
        assert_eq!(iam.username.as_deref(), Some("eu"));
        assert_eq!((&iam.password, &iam.scope, &iam.audience), (&None, &None, &None));
        assert_eq!(eu.config.credentials_of.as_deref(), Some("eu-1"));
        assert_eq!((eu.config.call.timeout, eu.config.call.retries), (Duration::from_secs(20), 5));
        assert_eq!(eu.config.token.file.as_deref(), Some(std::path::Path::new("/t/eu")));
        assert_eq!(eu.origin("call.timeout").to_string(), "c.yaml:11:21");
        // A key that is named and left empty is still one of its own.
        let named = "targets: {a: {api: {base_url: http://a}, iam: {password: }}}\niam: {username: top}\n";
        let a = read(named, &Env::default()).unwrap().choose(Some("a")).unwrap();
        assert_eq!((&a.config.iam.username, a.config.credentials_of.as_deref()), (&None, Some("a")));
    }

    #[test]
    fn plain_names_are_for_the_unnamed_one_and_a_target_has_its_own() {
        let env = Env::from([
            ("API_BASE_URL", "http://env"),
            ("TOKEN_FILE", "/t/env"),
            ("TIMEOUT", "7"),
            ("QS_TARGETS__EU_1__IAM__PASSWORD", "eu-secret"),
            ("QS_TARGETS__NEW__API__BASE_URL", "http://new"),
        ]);
        let targets = read(FILE, &env).unwrap();
        assert_eq!(targets.unnamed.config.api.base_url.0, "http://env");
        assert_eq!(targets.named.keys().collect::<Vec<_>>(), ["eu-1", "new", "open", "prod"]);
        let prod = &targets.named["prod"].config;
        assert_eq!((prod.api.base_url.0.as_str(), &prod.token.file), ("https://prod.example", &None));
        assert_eq!(prod.call.timeout, Duration::from_secs(7));
        let eu = &targets.named["eu-1"].config;
        assert_eq!(eu.iam.password.as_ref().unwrap().0.expose(), "eu-secret");
        assert_eq!(eu.call.timeout, Duration::from_secs(20), "what is nearer to the target wins");
    }

    #[test]
    fn every_target_is_read_whichever_is_used() {
        for (text, problem) in [
            (
                "targets: {a: {call: {retries: 1}}}",
                "c.yaml:1:11: targets.a: a target without api.base_url (hint: set it, or QS_TARGETS__A__API__BASE_URL)",
            ),
            (
                "targets: {a: }",
                "c.yaml:1:11: targets.a: a target without api.base_url (hint: set it, or QS_TARGETS__A__API__BASE_URL)",
            ),
            ("targets: {a: {api: {base_url: }}}", "c.yaml:1:11: targets.a: a target without api.base_url"),
            (
                "targets: {A_b: {}}",
                "c.yaml:1:11: targets: the name \"A_b\": expected 1 to 64 lower-case letters, digits or '-', not beginning with '-'; write a-b",
            ),
            (
                "targets: {a: {api: {base_url: x}, call: {timout: 1}}}",
                "c.yaml:1:50: targets.a.call.timout: unknown key (hint: did you mean targets.a.call.timeout?)",
            ),
            (
                "targets: {a: {api: {base_url: x}, call: {timeout: soon}}}",
                "c.yaml:1:51: targets.a.call.timeout = \"soon\": ",
            ),
            (
                "targets: {a: {api: {base_url: x}, log: {format: json}}}",
                "c.yaml:1:49: targets.a.log.format: unknown key (hint: log.format is one for all targets: set it outside of targets)",
            ),
            ("targets: {a: 5}", "c.yaml:1:11: targets.a: expected sections"),
            ("targets: [a]", "c.yaml:1:1: targets: expected names of targets"),
            ("targets: {a: {api: 5}}", "c.yaml:1:15: targets.a.api: expected a section"),
        ] {
            let found = read(text, &Env::default()).map(drop).unwrap_err();
            assert!(found.iter().any(|found| found.starts_with(problem)), "{text}: {found:?}");
        }
        for (name, problem) in [
            (
                "QS_TARGETS__PRDO__API__BASE_URLS",
                "environment QS_TARGETS__PRDO__API__BASE_URLS: targets.prdo.api.base_urls: unknown key (hint: did you mean QS_TARGETS__PRDO__API__BASE_URL?)",
            ),
            (
                "QS_TARGETS__PRDO__IAM__SCOPE",
                "environment QS_TARGETS__PRDO__IAM__SCOPE: targets.prdo: a target without api.base_url (hint: did you mean prod?)",
            ),
            (
                "QS_TARGETS__PROD",
                "environment QS_TARGETS__PROD: targets: expected QS_TARGETS__NAME__SECTION__KEY",
            ),
        ] {
            let found = read(FILE, &Env::from([(name, "1")])).map(drop).unwrap_err();
            assert_eq!(found, [problem]);
        }
    }

    #[test]
    fn an_unknown_target_is_told_the_nearest_or_how_to_add_one() {
        let unknown = |text: &str, name: &str| {
            read(text, &Env::default()).unwrap().choose(Some(name)).map(drop).unwrap_err().to_string()
        };
        assert_eq!(
            unknown(FILE, "prdo"),
            "option --target: there is no target \"prdo\" (hint: did you mean prod?)"
        );
        assert!(unknown(FILE, "something").ends_with("(hint: the targets are eu-1, open, prod)"));
        assert!(unknown("", "a").contains("no targets are configured: add targets.a.api.base_url"));
    }
}
