//! `crontab timeline`: a day at a glance.

use jiff::{SignedDuration, Timestamp, Zoned};

use super::args::TimelineArgs;
use super::source;
use crate::cli::output::{Failure, Output};
use crate::clock::Clock;
use crate::crontab::file::CrontabEntry;
use crate::domain::exit::Exit;

/// How long a column is.
const COLUMN: SignedDuration = SignedDuration::from_mins(30);
/// Widest name of a task that is shown.
const WIDEST: usize = 32;

/// Draws a day: a row for each line, a column for each half hour that really passes.
pub(super) fn run(args: &TimelineArgs, output: Output, clock: &dyn Clock) -> Result<(), Failure> {
    let crontab = source::read_sound(&args.source.file, &args.source.reading, output)?;
    let zone = crontab.format.zone.clone();
    let date = args.date.unwrap_or_else(|| clock.now().to_zoned(zone.clone()).date());
    let wrong = |error: jiff::Error| Failure::new(Exit::Usage, format!("--date {date}: {error}"));
    let begin = date.to_zoned(zone.clone()).map_err(wrong)?;
    let end = date.tomorrow().and_then(|next| next.to_zoned(zone)).map_err(wrong)?;
    let columns = columns(&begin, end.timestamp());
    let entries: Vec<&CrontabEntry> = crontab.entries().collect();
    let width =
        entries.iter().map(|entry| entry.task().chars().count()).max().unwrap_or_default().min(WIDEST);
    let hours = end.timestamp().duration_since(begin.timestamp()).as_secs() / 3600;
    let name = begin.time_zone().iana_name().unwrap_or("local time");
    let mut lines =
        vec![format!("{date}, {name}, {hours} hours"), format!("{:width$}  {}", "", axis(&columns))];
    for entry in &entries {
        let starts: Vec<Timestamp> = day(entry, begin.timestamp(), end.timestamp());
        let row: String = columns.iter().map(|column| cell(&starts, column.timestamp())).collect();
        let name: String = entry.task().chars().take(WIDEST).collect();
        lines.push(format!("{name:width$}  {row}  {}", sum(&starts)));
    }
    let legend = "a column is 30 minutes; a digit counts the starts in it, # is ten or more";
    lines.push(format!("{:width$}  {legend}", ""));
    output.data(&lines.join("\n"))
}

/// The starts from `begin` on, before `end`.
fn day(entry: &CrontabEntry, begin: Timestamp, end: Timestamp) -> Vec<Timestamp> {
    let before = begin.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(begin);
    entry.schedule.after(before).map(|next| next.at).take_while(|at| *at < end).collect()
}

fn columns(begin: &Zoned, end: Timestamp) -> Vec<Zoned> {
    std::iter::successors(Some(begin.clone()), |column| column.checked_add(COLUMN).ok())
        .take_while(|column| column.timestamp() < end)
        .collect()
}

/// Every third hour above its column; where the clocks change, the distances tell.
fn axis(columns: &[Zoned]) -> String {
    let mut axis = String::new();
    for (index, column) in columns.iter().enumerate() {
        if column.minute() == 0 && column.hour() % 3 == 0 && axis.len() <= index {
            let gap = " ".repeat(index - axis.len());
            axis = format!("{axis}{gap}{:02}", column.hour());
        }
    }
    axis
}

fn cell(starts: &[Timestamp], column: Timestamp) -> char {
    let end = column.checked_add(COLUMN).unwrap_or(column);
    match starts.iter().filter(|at| **at >= column && **at < end).count() {
        0 => '·',
        count => char::from_digit(u32::try_from(count).unwrap_or(u32::MAX), 10).unwrap_or('#'),
    }
}

fn sum(starts: &[Timestamp]) -> String {
    match starts.len() {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
