//! Values that can be read and mean nothing: no call could be made with them, or none could succeed.

use super::CallConfig;
use crate::config::{Loaded, Problem, Setting};

/// Every value of a configuration that means nothing.
pub(super) fn validate(loaded: &Loaded<CallConfig>) -> Vec<Problem> {
    let CallConfig { iam, call, state, ping, .. } = &loaded.config;
    let durations = [
        ("iam.timeout", iam.timeout, "no login could be answered"),
        ("call.timeout", call.timeout, "no call could be made"),
        ("call.connect_timeout", call.connect_timeout, "no connection could be made"),
        ("call.attempt_timeout", call.attempt_timeout, "no attempt could be answered"),
        ("call.wait_interval", call.wait_interval, "--wait would ask without a pause"),
        ("ping.timeout", ping.timeout, "no ping could be sent"),
    ];
    let zero = durations.into_iter().filter(|(_, value, _)| value.is_zero());
    let zero = zero.map(|(key, _, then)| (key, format!("must be longer than 0s: {then}")));
    let no_code = "must not be empty: no reply with a code would be a success; call.ignore_body judges by the status alone";
    let others = [
        ("call.success_codes", call.success_codes.is_empty(), no_code.to_owned()),
        (
            "state.history",
            state.history == 0,
            "must be at least 1: nothing would be known about the last run".to_owned(),
        ),
    ];
    let others = others.into_iter().filter(|(_, wrong, _)| *wrong).map(|(key, _, message)| (key, message));
    zero.chain(others).map(|(key, message)| problem(loaded, key, message)).collect()
}

fn problem(loaded: &Loaded<CallConfig>, key: &str, message: String) -> Problem {
    let setting = super::SETTINGS.iter().find(|setting| setting.key == key);
    let show = |setting: &Setting<CallConfig>, config: &CallConfig| (setting.show)(config);
    let default = setting.map(|setting| show(setting, &CallConfig::default())).unwrap_or_default();
    let value = setting.map(|setting| show(setting, &loaded.config));
    Problem {
        value,
        ..loaded.problem(key, message, Some(format!("remove the key: its default is {default}")))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::call::CallTargets;
    use crate::config::{ConfigFile, Env};

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        let file = |text: &str| ConfigFile { path: "c.yaml".into(), text: text.to_owned() };
        let problems = |text: &str| match CallTargets::read(&[file(text)], &Env::default()) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        };
        for (text, says) in [
            ("iam: {timeout: 0}", "c.yaml:1:16: iam.timeout = \"0s\": must be longer than 0s"),
            ("call: {timeout: 0s}", "its default is 5m30s"),
            ("call: {connect_timeout: 0}", "call.connect_timeout"),
            ("call: {attempt_timeout: 0}", "call.attempt_timeout"),
            ("call: {wait_interval: 0ms}", "without a pause"),
            ("call: {success_codes: []}", "its default is 0, 200, OK, SUCCESS"),
            ("state: {history: 0}", "must be at least 1"),
            ("ping: {timeout: 0}", "ping.timeout"),
        ] {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].contains(says), "{text}: {found:?}");
        }
        let meant = "token: {max_age: 0, skew: 0, lock_wait: 0}\ncall: {retries: 0, retry_base: 0, jitter: 0}\nlog: {rotate_size: 0, rotate_keep: 0}";
        assert_eq!(problems(meant), [""; 0]);
        let target = "targets: {a: {api: {base_url: 'http://a'}, call: {timeout: 0}}, b: {api: {base_url: 'http://b'}}}";
        let found = problems(target);
        assert!(found.len() == 1 && found[0].contains("targets.a.call.timeout"), "{found:?}");
        let found = problems("call: {timeout: 0}\ntargets: {a: {api: {base_url: 'http://a'}}}");
        assert_eq!(found.len(), 1, "an inherited value is judged once: {found:?}");
        let given = Env::from([("TIMEOUT", "0")]);
        let found = CallTargets::read(&[], &given).unwrap_err().to_string();
        assert!(found.starts_with("environment TIMEOUT: call.timeout"), "{found}");
    }
}
