//! The counters: the same in Redis, in the file of the bulk load and in the sums that must come out.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;

/// Days that each key has counters of.
const DAYS: u32 = 100;
/// The first of them.
const FIRST: Date = Date::constant(2025, 1, 1);
/// Commands of one pipeline.
const PIPELINE: u32 = 10_000;

/// So many counters of organisation 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    /// How many.
    pub(crate) rows: u32,
}

/// One of them.
pub(crate) struct Counter {
    /// `stats:daily:…`
    pub(crate) name: String,
    /// Type.
    pub(crate) statistic: &'static str,
    /// Code or id.
    pub(crate) key: String,
    /// Day.
    pub(crate) date: String,
    /// Both counts.
    pub(crate) counts: [u32; 2],
}

impl Data {
    /// First and last day.
    pub(crate) fn days() -> [String; 2] {
        [FIRST, FIRST + i64::from(DAYS - 1).days()].map(|day| day.to_string())
    }

    /// The counter of this number. Of 20 keys, 16 are testees, two questionnaires, one a plan, one a screening.
    pub(crate) fn counter(number: u32) -> Counter {
        let (which, day) = (number / DAYS, number % DAYS);
        let (statistic, key) = match which % 20 {
            0 => ("plan", format!("{}", 611_846_352_879_617_u64 + u64::from(which) * 4_099)),
            1 => ("screening", format!("{}", 618_224_000_120_833_u64 + u64::from(which) * 4_099)),
            2 | 3 => ("questionnaire", format!("SCL90-{which:05}")),
            // Ids as a generator that begins with the time gives them, in no order of their registration.
            _ => (
                "testee",
                format!("{}", 6_115_000_000_000_000_u64 + u64::from(which.wrapping_mul(2_654_435_761)) * 17),
            ),
        };
        let date = (FIRST + i64::from(day).days()).to_string();
        let submissions = 1 + number.wrapping_mul(2_246_822_519) % 40;
        let name = format!("stats:daily:1:{statistic}:{key}:{date}");
        Counter { name, statistic, key, date, counts: [submissions, submissions * 3 / 4] }
    }

    /// All of them, in the order of keys and days.
    pub(crate) fn counters(self) -> impl Iterator<Item = Counter> {
        (0..self.rows).map(Self::counter)
    }

    /// So many of them from everywhere, in no order.
    pub(crate) fn sample(self, size: u32) -> impl Iterator<Item = Counter> {
        let place = move |index: u32| u64::from(index) * 1_000_003 % u64::from(self.rows);
        (0..size.min(self.rows))
            .map(move |index| Self::counter(u32::try_from(place(index)).unwrap_or(u32::MAX)))
    }

    /// The sum of the submissions of these.
    pub(crate) fn sum(counters: impl Iterator<Item = Counter>) -> u64 {
        counters.map(|counter| u64::from(counter.counts[0])).sum()
    }

    /// Writes them to Redis.
    pub(crate) fn fill(self, redis: &mut redis::Connection) -> anyhow::Result<()> {
        for first in (0..self.rows).step_by(PIPELINE as usize) {
            let mut pipe = redis::pipe();
            for number in first..self.rows.min(first + PIPELINE) {
                let Counter { name, counts, .. } = Self::counter(number);
                let set = pipe.cmd("HSET").arg(name).arg("submission_count").arg(counts[0]);
                set.arg("completion_count").arg(counts[1]).ignore();
            }
            pipe.query::<()>(redis)?;
        }
        Ok(())
    }

    /// Writes them to a file for `load data`.
    pub(crate) fn write(self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        let mut line = String::new();
        for Counter { statistic, key, date, counts: [submissions, completions], .. } in self.counters() {
            line.clear();
            writeln!(line, "1\t{statistic}\t{key}\t{date}\t{submissions}\t{completions}")?;
            file.write_all(line.as_bytes())?;
        }
        Ok(file.flush()?)
    }
}
