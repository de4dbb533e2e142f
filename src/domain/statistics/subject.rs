//! What counts are about.

use std::fmt;

use jiff::civil::Date;

use crate::domain::word::words;

words! {
    /// What a count is about.
    #[derive(PartialOrd, Ord)]
    pub enum StatisticType: "statistic type" {
        /// A whole organisation.
        System = "system",
        /// One questionnaire.
        Questionnaire = "questionnaire",
        /// One person who is assessed.
        Testee = "testee",
        /// One assessment plan.
        Plan = "plan",
        /// One screening project.
        Screening = "screening",
    }
}

/// What is counted: a type and which one. The order is that of the tables' keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What is counted.
    pub statistic: StatisticType,
    /// Which one: a code or an id. Any character may stand in it.
    pub key: String,
}

/// Longest key of a subject and longest id of an event, in characters: the width of the columns.
pub const MAX_KEY: usize = 255;

/// The one rule for what a key may be, whoever wrote it: any character but NUL may stand in it, and no space at its
/// ends, because databases overlook those.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str, longest: usize) -> Result<(), String> {
    let length = key.chars().count();
    if length == 0 {
        return Err("must not be empty".to_owned());
    }
    if length > longest {
        return Err(format!("must not be longer than {longest} characters, has {length}"));
    }
    if key.trim() != key {
        return Err("must not begin or end with a space".to_owned());
    }
    if key.contains('\u{0}') {
        return Err("must not hold a NUL character".to_owned());
    }
    Ok(())
}

/// By word, not by the place in the enum: databases and Redis sort words.
impl Ord for Subject {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.statistic.as_str(), &self.key).cmp(&(other.statistic.as_str(), &other.key))
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.statistic, self.key)
    }
}

/// One subject on one day: what a daily count is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DailyKey {
    /// Which subject.
    pub subject: Subject,
    /// Which day.
    pub date: Date,
}

impl fmt::Display for DailyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_colons_and_globs_and_are_as_long_in_every_script() {
        for key in ["a:*?[b", "x", &"x".repeat(255), &"问".repeat(255)] {
            assert_eq!(check_key(key, MAX_KEY), Ok(()), "{key:?}");
        }
        for key in ["", " ", " a", "a ", "a\u{0}b", &"x".repeat(256), &"问".repeat(256)] {
            assert!(check_key(key, MAX_KEY).is_err(), "{key:?}");
        }
    }
}
