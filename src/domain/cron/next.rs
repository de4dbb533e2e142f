//! When a rule fires next, in a time zone whose clocks are put forward and back.
//!
//! The rules are those of Debian's cron (`cron.c`: it compares the minute of the wall clock with the last one that it
//! has served):
//!
//! - A rule whose second, minute or hour begins with `*` follows the clock: it does not fire at times that are skipped,
//!   and fires twice at times that come twice.
//! - Any other rule names fixed times. One that is skipped fires at the first minute after the gap, one that comes twice
//!   fires at its first coming.
//! - Clocks that are put forward by less than five minutes make every rule that was skipped fire late; clocks that are
//!   put forward or back by three hours or more are a new time, in which nothing is caught up and nothing is left out.
//!
//! One deviation, on purpose: when a gap holds several times of one rule, or its end is one too, cron starts the command
//! for each of them in the same minute; here it is one occurrence.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{CronExpr, Rule};

/// What the zone did to an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dst {
    /// Nothing: the time comes once.
    Plain,
    /// It was wanted at a time that the clocks skip, and is at the first minute after that.
    AfterGap {
        /// The first of the skipped times.
        wanted: DateTime,
    },
    /// The time comes twice; this is the first.
    First,
    /// The time comes twice; this is the second.
    Second,
}

/// One time at which a rule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The instant.
    pub at: Timestamp,
    /// What the zone did to it.
    pub dst: Dst,
}

/// Longest gap, in minutes, after which cron runs every missed minute, as if it had only woken late.
const SMALL: i64 = 4;
/// Longest gap, in minutes, after which cron runs what has fixed times.
const MEDIUM: i64 = 179;
/// Longest overlap, in minutes, in which cron holds back what has fixed times.
const OVERLAP: i64 = 180;

impl CronExpr {
    /// The first occurrence after `after`, which itself is excluded. None when there is none before the year 9999.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Occurrence> {
        self.rule.next_after(after, zone)
    }
}

/// A time between two changes of the clocks, in which the wall clock runs evenly, as one rule sees it.
pub(super) struct Stretch {
    /// How far the wall clock is from UTC.
    pub(super) offset: Offset,
    /// What the gap before it skipped, served when it begins; earlier than all others.
    pub(super) late: Option<Occurrence>,
    /// The first second of the wall clock whose time counts.
    pub(super) from: DateTime,
    /// The first one after it whose time counts no more.
    pub(super) to: DateTime,
    /// When the next stretch begins.
    pub(super) end: Option<Timestamp>,
}

impl Stretch {
    /// Without what is not after this instant, which `from` is the next second of the wall clock to.
    pub(super) fn after(self, after: Timestamp, from: DateTime) -> Self {
        Self { late: self.late.filter(|late| late.at > after), from: self.from.max(from), ..self }
    }
}

impl Rule {
    /// As [`CronExpr::next_after`].
    pub(in crate::domain) fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Occurrence> {
        let local = zone.to_datetime(after);
        let from = second_after(local)?;
        let candidate = self.at_or_after(from)?;
        // A time of the wall clock that comes once, from a time that comes once: no gap between the two holds a time of
        // the rule, or it would be the candidate, and what comes twice between them holds none either.
        if let (AmbiguousOffset::Unambiguous { .. }, AmbiguousOffset::Unambiguous { offset }) =
            (zone.to_ambiguous_timestamp(local).offset(), zone.to_ambiguous_timestamp(candidate).offset())
        {
            return Some(Occurrence { at: offset.to_timestamp(candidate).ok()?, dst: Dst::Plain });
        }
        self.across_changes(self.stretch(after, zone).after(after, from), zone)
    }

    /// Walks from one change of the clocks to the next.
    fn across_changes(&self, mut stretch: Stretch, zone: &TimeZone) -> Option<Occurrence> {
        loop {
            if stretch.late.is_some() {
                return stretch.late;
            }
            let candidate = self.at_or_after(stretch.from)?;
            if candidate < stretch.to {
                let at = stretch.offset.to_timestamp(candidate).ok()?;
                return Some(Occurrence { at, dst: coming(candidate, stretch.offset, zone) });
            }
            stretch = self.stretch_from(stretch.end?, zone);
        }
    }

    /// The stretch that an instant lies in.
    pub(super) fn stretch(&self, at: Timestamp, zone: &TimeZone) -> Stretch {
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        let begin = zone.preceding(just_after).next().map(|change| change.timestamp());
        self.between(begin, at, zone)
    }

    /// The stretch that begins with this change. Looked for backwards, another one may be found: zone files end with a
    /// change in 2038 that changes nothing, and is only seen on the way forward.
    pub(super) fn stretch_from(&self, begin: Timestamp, zone: &TimeZone) -> Stretch {
        self.between(Some(begin), begin, zone)
    }

    fn between(&self, begin: Option<Timestamp>, at: Timestamp, zone: &TimeZone) -> Stretch {
        let offset = zone.to_offset(at);
        let (late, from) = begin.map_or((None, DateTime::MIN), |begin| self.beginning(begin, offset, zone));
        let end = zone.following(at).next().map(|change| change.timestamp());
        let to = end.map_or(DateTime::MAX, |end| offset.to_datetime(end));
        Stretch { offset, late, from, to, end }
    }

    /// What a change of the clocks to this offset makes of the rule: what it runs late, and from which time of the wall
    /// clock on its times count again.
    fn beginning(&self, at: Timestamp, offset: Offset, zone: &TimeZone) -> (Option<Occurrence>, DateTime) {
        let behind = offset.to_datetime(at);
        let Ok(just_before) = at.checked_sub(SignedDuration::from_nanos(1)) else { return (None, behind) };
        let old = zone.to_offset(just_before);
        let before = old.to_datetime(at);
        let minutes = i64::from(offset.seconds() - old.seconds()).div_euclid(60);
        if minutes < 0 && self.holds_back(-minutes) {
            return (None, before);
        }
        if minutes > 0
            && self.catches_up(minutes)
            && let Some(wanted) = self.at_or_after(before).filter(|wanted| *wanted < behind)
            && let Some(minute) = whole_minute_from(behind)
            && let Ok(at) = offset.to_timestamp(minute)
            && let Some(from) = later(minute, 1)
        {
            return (Some(Occurrence { at, dst: Dst::AfterGap { wanted } }), from);
        }
        (None, behind)
    }

    fn catches_up(&self, gap: i64) -> bool {
        gap <= SMALL || (gap <= MEDIUM && !self.follows_clock)
    }

    fn holds_back(&self, overlap: i64) -> bool {
        overlap <= OVERLAP && !self.follows_clock
    }
}

fn coming(time: DateTime, offset: Offset, zone: &TimeZone) -> Dst {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Fold { before, .. } if before == offset => Dst::First,
        AmbiguousOffset::Fold { .. } => Dst::Second,
        _ => Dst::Plain,
    }
}

/// The first whole second after `time`. `None` at the end of the calendar.
pub(super) fn second_after(time: DateTime) -> Option<DateTime> {
    later(time.date().at(time.hour(), time.minute(), time.second(), 0), 1)
}

fn later(time: DateTime, seconds: i64) -> Option<DateTime> {
    time.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The first whole minute from `time` on. Offsets have had seconds until 1972.
fn whole_minute_from(time: DateTime) -> Option<DateTime> {
    if time.second() == 0 && time.subsec_nanosecond() == 0 {
        return Some(time);
    }
    later(time.date().at(time.hour(), time.minute(), 0, 0), 60)
}
