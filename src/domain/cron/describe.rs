//! An expression as an English sentence, which says what cron will do, not what the author may have meant.

use super::{CronExpr, Field};

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

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
        let seconds = match self.values(Field::Second).as_slice() {
            [0] => String::new(),
            _ => match self.rhythm(Field::Second) {
                Some(1) => "every second, ".to_owned(),
                Some(step) => format!("every {step} seconds, "),
                None => format!("at second {}, ", self.list(Field::Second)),
            },
        };
        let hour_list = || match self.rhythm(Field::Hour) {
            Some(1) => "every hour".to_owned(),
            Some(step) => format!("every {step} hours"),
            None => format!("hour {}", self.list(Field::Hour)),
        };
        let time = match (self.rhythm(Field::Minute), self.has_few_times()) {
            (_, true) => {
                let times: Vec<String> = hours
                    .iter()
                    .flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")))
                    .collect();
                format!("at {}", and(&times))
            }
            (Some(step), _) => {
                let every =
                    if step == 1 { "every minute".to_owned() } else { format!("every {step} minutes") };
                if self.is_every(Field::Hour) { every } else { format!("{every} of {}", hour_list()) }
            }
            (None, _) => format!("at minute {} of {}", self.list(Field::Minute), hour_list()),
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
        match (self.is_every(Field::DayOfMonth), self.is_every(Field::DayOfWeek)) {
            (true, true) => self.has_few_times().then(|| "every day".to_owned()),
            // One of them restricts: with "or" the other one lets every day through.
            (false, true) | (true, false) if self.rule.either_day => Some("every day".to_owned()),
            (false, true) => Some(format!("on {}", day())),
            (true, false) => Some(format!("on {}", weekday())),
            (false, false) if self.rule.either_day => {
                Some(format!("on {} and also on every {}", day(), weekday()))
            }
            (false, false) => Some(format!("on {} if it is {}", day(), weekday())),
        }
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
        let name = |value: u8| match field {
            Field::Month => MONTHS[usize::from(value) - 1].to_owned(),
            Field::DayOfWeek => WEEKDAYS[usize::from(value)].to_owned(),
            _ => value.to_string(),
        };
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for value in self.values(field) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == value => *last = value,
                _ => runs.push((value, value)),
            }
        }
        let words: Vec<String> = runs
            .into_iter()
            .flat_map(|(first, last)| match last - first {
                0 => vec![name(first)],
                1 => vec![name(first), name(last)],
                _ => vec![format!("{} to {}", name(first), name(last))],
            })
            .collect();
        and(&words)
    }
}

fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
