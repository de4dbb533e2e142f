//! Variables that begin as settings of the programs do and are none: a call that finds one is not made.

use super::Facts;
use crate::crontab::file::{Crontab, Line};
use crate::crontab::problem::{Problem, Rule, report};

pub(super) fn check(crontab: &Crontab, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let Some(unknown) = facts.unknown_variable else { return };
    // Beside other programs a setting may be theirs.
    if crontab.entries().all(|entry| entry.call().is_none()) {
        return;
    }
    for (index, line) in crontab.lines.iter().enumerate() {
        let set: Vec<(&str, &str)> = match line {
            Line::Setting(setting) => vec![(&setting.name, &setting.value)],
            Line::Entry(entry) => {
                let before = entry.call().into_iter().flat_map(|call| &call.assignments);
                before.map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
            Line::Blank | Line::Comment(_) | Line::Broken => Vec::new(),
        };
        for (name, value) in set {
            if let Some(fix) = unknown(name, value) {
                let found = format!("the variable {name}, with which a call is not made");
                report(problems, Rule::UnknownVariable, index + 1, found).fix(fix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::crontab::file::Format;
    use crate::crontab::lint::lint;

    #[test]
    fn a_variable_that_no_program_knows_is_told_where_a_call_meets_it() {
        const CALL: &str = "/usr/local/bin/qs-api-call /a /l";
        let unknown = |name: &str, _: &str| (name == "QS_BAD").then(|| "did you mean QS_GOOD?".to_owned());
        for (text, lines) in [
            (format!("QS_BAD=1\nQS_GOOD=1\n0 * * * * root {CALL}\n"), vec![1]),
            (format!("0 * * * * root QS_BAD=1 QS_GOOD=1 {CALL}\n"), vec![1]),
            (format!("0 * * * * root {CALL}\n0 * * * * root QS_BAD=1 /bin/other\n"), vec![]),
            ("QS_BAD=1\n0 * * * * root /bin/other\n".to_owned(), vec![]),
        ] {
            let crontab = Crontab::parse(text.as_bytes(), Format::system(TimeZone::UTC));
            let facts = Facts { unknown_variable: Some(unknown), ..Facts::default() };
            let mut found = lint(&crontab, &facts);
            found.retain(|problem| problem.rule == Rule::UnknownVariable);
            assert_eq!(found.iter().map(|problem| problem.line).collect::<Vec<_>>(), lines, "{text}");
            assert!(found.iter().all(|problem| problem.fix == "did you mean QS_GOOD?"), "{found:?}");
        }
    }
}
