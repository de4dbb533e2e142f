//! Days and steps that cron reads in a way that surprises.

use crate::crontab::file::Crontab;
use crate::crontab::problem::{Problem, Rule, report};
use crate::domain::cron::Field;

pub(super) fn check(crontab: &Crontab, problems: &mut Vec<Problem>) {
    for entry in crontab.entries() {
        let Some(expr) = entry.schedule.expr() else { continue };
        let mut at_time = |rule, found: String, fix: &str| {
            report(problems, rule, entry.line, found).at(entry.time_columns.clone()).fix(fix);
        };
        if expr.day_or_weekday() {
            let found =
                format!("a day of the month and a weekday, of which one is enough: {}", expr.describe());
            let fix = "write '*' for one of the two, and test the other one in the command";
            at_time(Rule::EitherDay, found, fix);
        }
        let every = [Field::DayOfMonth, Field::DayOfWeek].map(|field| expr.is_every(field));
        if expr.either_day() && every[0] != every[1] {
            let found =
                "a day that changes nothing: the other one has every day, and one of the two is enough";
            at_time(Rule::EitherDay, found.to_owned(), "write '*' for the one that has every day");
        }
        if expr.day_and_weekday() {
            let found = format!("a day of the month and a weekday that must both match: {}", expr.describe());
            at_time(Rule::BothDays, found, "write '*' for one of the two, unless this is meant");
        }
        if let Some(field) = expr.lone_step() {
            let found = format!(
                "a step in the {field} that is longer than its range, so that only the first value is left"
            );
            at_time(Rule::LoneStep, found, "write that value alone");
        }
    }
}
