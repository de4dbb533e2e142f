//! Targets: further configurations below `targets.NAME`, each an overlay of the unnamed one.
//!
//! A target is put together as the unnamed configuration is, from the values that it inherits and its own over them; in
//! the end there is one configuration, and nothing below knows that it is a target's.

use std::collections::{BTreeMap, BTreeSet};

use super::env::{Env, dotted, variable};
use super::field::Value;
use super::file::{ConfigFile, FileContent, FileValue, TARGETS, of_target};
use super::load::{Layers, Loaded, gather};
use super::problem::{ConfigError, Origin, Problem};
use super::setting::Setting;
use crate::domain::nearest::nearest;
use crate::domain::target::check_target_name;

/// What a program's targets are.
pub struct TargetRules {
    /// Sections that a target may have.
    pub sections: &'static [&'static str],
    /// The key that each must set and none inherits: without it, it would be the unnamed one.
    pub required: &'static str,
    /// Whether a target with these keys of its own takes the value of `key` from the unnamed one.
    pub inherits: fn(key: &str, own: &BTreeSet<&str>) -> bool,
}

/// The unnamed configuration, and those with names.
#[derive(Clone, Debug)]
pub struct Targets<C> {
    /// The one without a name.
    pub unnamed: Loaded<C>,
    /// The others.
    pub named: BTreeMap<String, Loaded<C>>,
}

/// Lays files and environment over the defaults, as [`super::load`] does, for the unnamed configuration and each target.
///
/// # Errors
/// Everything that is wrong with any of them, whichever will be used.
pub fn load_targets<C: Default>(
    settings: &'static [Setting<C>],
    rules: &TargetRules,
    files: &[ConfigFile],
    env: &Env,
) -> Result<Targets<C>, ConfigError> {
    let mut given = gather(settings, files, env);
    of_environment(env, &mut given);
    let unnamed_values: Vec<&FileValue> =
        given.values.iter().filter(|value| value.target.is_none()).collect();
    let mut unnamed = Layers::new(settings, None, std::mem::take(&mut given.problems));
    unnamed.set_all(unnamed_values.iter().copied());
    let (unnamed, mut problems) = match unnamed.finish() {
        Ok(loaded) => (Some(loaded), Vec::new()),
        Err(error) => (None, error.problems),
    };
    let mut named = BTreeMap::new();
    for (name, origin) in names(&given) {
        match target(settings, rules, name, origin, &unnamed_values, &given) {
            Ok(loaded) => drop(named.insert(name.to_owned(), loaded)),
            Err(found) => problems.extend(found),
        }
    }
    match unnamed {
        Some(unnamed) if problems.is_empty() => Ok(Targets { unnamed, named }),
        _ => Err(ConfigError { problems }),
    }
}

/// The names of the targets in one file; none when the file cannot be read as a configuration.
pub fn target_names(file: &ConfigFile) -> Option<Vec<String>> {
    let content = file.content();
    content.problems.is_empty().then(|| content.targets.into_iter().map(|(name, _)| name).collect())
}

/// Every name and where it stands first.
fn names(given: &FileContent) -> BTreeMap<&str, &Origin> {
    let mut names = BTreeMap::new();
    for (name, origin) in &given.targets {
        names.entry(name.as_str()).or_insert(origin);
    }
    names
}

/// One target, or what is wrong with its own values; the inherited ones are judged where they stand.
fn target<C: Default>(
    settings: &'static [Setting<C>],
    rules: &TargetRules,
    name: &str,
    origin: &Origin,
    unnamed: &[&FileValue],
    given: &FileContent,
) -> Result<Loaded<C>, Vec<Problem>> {
    let problem = |key: String, message: String, hint: Option<String>| {
        vec![Problem { origin: origin.clone(), key, value: None, message, hint }]
    };
    if let Err(expected) = check_target_name(name) {
        return Err(problem(TARGETS.to_owned(), format!("the name {name:?}: {expected}"), None));
    }
    let (own_values, misplaced): (Vec<&FileValue>, Vec<&FileValue>) =
        given.values.iter().filter(|value| value.target.as_deref() == Some(name)).partition(|value| {
            let section = value.key.split('.').next().unwrap_or_default();
            rules.sections.contains(&section) || settings.iter().all(|setting| setting.key != value.key)
        });
    let own: BTreeSet<&str> = own_values.iter().map(|value| value.key.as_str()).collect();
    let misplaced = misplaced.into_iter().map(|value| Problem {
        origin: value.origin.clone(),
        key: of_target(Some(name), &value.key),
        value: None,
        message: "unknown key".to_owned(),
        hint: Some(format!("{} is one for all targets: set it outside of targets", value.key)),
    });
    let mut layers = Layers::new(settings, Some(name.to_owned()), misplaced.collect());
    let known = |value: &FileValue| {
        settings.iter().any(|setting| {
            setting.key == value.key
                && value.value.as_ref().is_none_or(|given| (setting.set)(&mut C::default(), given).is_ok())
        })
    };
    let inherited =
        unnamed.iter().copied().filter(|value| (rules.inherits)(&value.key, &own) && known(value));
    layers.set_all(inherited.chain(own_values.iter().copied()));
    let loaded = layers.finish().map_err(|error| error.problems)?;
    if !loaded.origins.contains_key(rules.required) {
        let others = given.targets.iter().map(|(other, _)| other.as_str()).filter(|other| *other != name);
        let hint = match (origin, nearest(name, others)) {
            (Origin::Env(_), Some(other)) => format!("did you mean {other}?"),
            _ => format!("set it, or {}", variable(Some(name), rules.required)),
        };
        return Err(problem(
            format!("{TARGETS}.{name}"),
            format!("a target without {}", rules.required),
            Some(hint),
        ));
    }
    Ok(loaded)
}

/// `QS_TARGETS__NAME__SECTION__KEY`, with `_` for each `-` of the name.
fn of_environment(env: &Env, given: &mut FileContent) {
    for (variable, value) in env.ours() {
        let Some(key) = dotted(variable) else { continue };
        let Some(rest) = key.strip_prefix(TARGETS).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let origin = Origin::Env(variable.to_owned());
        // No key and no section holds two underscores, but a name may.
        let mut parts = rest.rsplitn(3, "__");
        let (key, section, name) = (parts.next(), parts.next(), parts.next());
        let (Some(key), Some(section), Some(name)) = (key, section, name) else {
            let message = "expected QS_TARGETS__NAME__SECTION__KEY".to_owned();
            let (key, hint) = (TARGETS.to_owned(), None);
            given.problems.push(Problem { origin, key, value: None, message, hint });
            continue;
        };
        let name = name.replace('_', "-");
        given.targets.push((name.clone(), origin.clone()));
        let (key, value) = (format!("{section}.{key}"), Some(Value::Text(value.to_owned())));
        given.values.push(FileValue { target: Some(name), key, value, origin });
    }
}
