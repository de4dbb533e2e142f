//! An expression as an English sentence, which says what cron will do, not what the author may have meant.

use super::{CronExpr, Field};

impl CronExpr {
    /// A sentence without its capital and its full stop: `at 02:30, on Monday to Friday`.
    pub fn describe(&self) -> String {
        let mut parts = vec![self.time_of_day()];
        parts.extend(self.days());
        if !self.is_every(Field::Month) {
            parts.push(format!("in {}", self.list(Field::Month)));
        }
        parts.join(", ")
    }

    fn time_of_day(&self) -> String {
        let (minutes, hours) = (self.values(Field::Minute), self.values(Field::Hour));
        let every = |field: Field| match self.rhythm(field) {
            Some(1) => Some(format!("every {field}")),
            step => step.map(|step| format!("every {step} {field}s")),
        };
        let listed = |field: Field| format!("{field} {}", self.list(field));
        let seconds = match every(Field::Second) {
            _ if !self.has_seconds() => String::new(),
            Some(every) => format!("{every}, "),
            None => format!("at {}, ", listed(Field::Second)),
        };
        let hour_list = || every(Field::Hour).unwrap_or_else(|| listed(Field::Hour));
        let time = match every(Field::Minute) {
            _ if self.has_few_times() => {
                let of_hour = |hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}"));
                format!("at {}", and(&hours.iter().flat_map(of_hour).collect::<Vec<_>>()))
            }
            Some(every) if self.is_every(Field::Hour) => every,
            Some(every) => format!("{every} of {}", hour_list()),
            None => format!("at {} of {}", listed(Field::Minute), hour_list()),
        };
        format!("{seconds}{time}")
    }

    /// Whether the times of a day are few enough to be written one by one.
    fn has_few_times(&self) -> bool {
        self.values(Field::Minute).len() * self.values(Field::Hour).len() <= 4
    }

    fn days(&self) -> Option<String> {
        let day = || format!("day {} of the month", self.list(Field::DayOfMonth));
        let weekday = || self.list(Field::DayOfWeek);
        Some(match (self.is_every(Field::DayOfMonth), self.is_every(Field::DayOfWeek)) {
            (true, true) if !self.has_few_times() => return None,
            (true, true) => "every day".to_owned(),
            // One of them restricts: with "or" the other one lets every day through.
            (false, true) | (true, false) if self.rule.either_day => "every day".to_owned(),
            (false, true) => format!("on {}", day()),
            (true, false) => format!("on {}", weekday()),
            (false, false) if self.rule.either_day => format!("on {} and also on every {}", day(), weekday()),
            (false, false) => format!("on {} if it is {}", day(), weekday()),
        })
    }

    /// The step of a field whose values are spread evenly over its whole range.
    pub fn rhythm(&self, field: Field) -> Option<u8> {
        let values = self.values(field);
        let (low, high) = field.bounds();
        let [first, second, ..] = values.as_slice() else { return None };
        let step = second - first;
        let even = *first == low && values.windows(2).all(|pair| pair[1] - pair[0] == step);
        (even && (high + 1 - low) % step == 0 && values.len() == usize::from((high + 1 - low) / step))
            .then_some(step)
    }

    /// The values as words; three or more in a row as a range.
    fn list(&self, field: Field) -> String {
        let name = |value: u8| {
            let name = field.names().nth(usize::from(value - field.bounds().0));
            name.map_or_else(|| value.to_string(), str::to_owned)
        };
        and(&self.runs(field, |first, last| {
            if first == last { name(first) } else { format!("{} to {}", name(first), name(last)) }
        }))
    }

    /// The values of a field, those in a row together, as `show` writes the first and the last of each; two in a row are
    /// shown one by one.
    pub fn runs(&self, field: Field, show: impl Fn(u8, u8) -> String) -> Vec<String> {
        let values = self.values(field);
        let runs = values.chunk_by(|a, b| a + 1 == *b);
        let parts = runs.flat_map(|run| if run.len() == 2 { run.chunks(1) } else { run.chunks(64) });
        parts.map(|part| show(part[0], part[part.len() - 1])).collect()
    }
}

/// Words as one: `a, b and c`.
pub(in crate::domain) fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
