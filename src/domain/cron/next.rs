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

use super::CronExpr;

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
        let local = zone.to_datetime(after);
        let from = whole_second(local).checked_add(SignedDuration::from_secs(1)).ok()?;
        let candidate = self.rule.at_or_after(from)?;
        // A time of the wall clock that comes once, from a time that comes once: no gap between the two holds a time of
        // the rule, or it would be the candidate, and what comes twice between them holds none either.
        if let (AmbiguousOffset::Unambiguous { .. }, AmbiguousOffset::Unambiguous { offset }) =
            (zone.to_ambiguous_timestamp(local).offset(), zone.to_ambiguous_timestamp(candidate).offset())
        {
            return Some(Occurrence { at: offset.to_timestamp(candidate).ok()?, dst: Dst::Plain });
        }
        self.across_transitions(after, from, zone)
    }

    /// Walks from one change of the clocks to the next; between two of them the wall clock runs evenly.
    fn across_transitions(&self, after: Timestamp, from: DateTime, zone: &TimeZone) -> Option<Occurrence> {
        let mut offset = zone.to_offset(after);
        let mut from = from.max(self.held_back_until(after, zone).unwrap_or(from));
        let mut since = after;
        loop {
            let candidate = self.rule.at_or_after(from)?;
            let at = offset.to_timestamp(candidate).ok()?;
            let Some(change) = zone.following(since).next().filter(|change| change.timestamp() <= at) else {
                return Some(Occurrence { at, dst: coming(candidate, offset, zone) });
            };
            let (before, behind) =
                (offset.to_datetime(change.timestamp()), change.offset().to_datetime(change.timestamp()));
            let minutes = i64::from(change.offset().seconds() - offset.seconds()).div_euclid(60);
            if minutes > 0 {
                let from = from.max(before);
                if self.catches_up(minutes)
                    && let Some(wanted) = self.rule.at_or_after(from).filter(|wanted| *wanted < behind)
                {
                    let at = change.offset().to_timestamp(whole_minute_from(behind)?).ok()?;
                    return Some(Occurrence { at, dst: Dst::AfterGap { wanted } });
                }
            }
            let holds_back = minutes < 0 && self.holds_back(-minutes);
            from = if holds_back { from.max(before) } else { behind };
            offset = change.offset();
            since = change.timestamp();
        }
    }

    /// Until when on the wall clock a rule with fixed times waits, when `at` is in the second coming of an overlap.
    fn held_back_until(&self, at: Timestamp, zone: &TimeZone) -> Option<DateTime> {
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let change = zone.preceding(just_after).next()?;
        let earlier = change.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?;
        let before = zone.to_offset(earlier);
        let minutes = i64::from(before.seconds() - change.offset().seconds()).div_euclid(60);
        (minutes > 0 && self.holds_back(minutes)).then(|| before.to_datetime(change.timestamp()))
    }

    fn catches_up(&self, gap: i64) -> bool {
        gap <= SMALL || (gap <= MEDIUM && !self.follows_clock())
    }

    fn holds_back(&self, overlap: i64) -> bool {
        overlap <= OVERLAP && !self.follows_clock()
    }
}

fn coming(time: DateTime, offset: Offset, zone: &TimeZone) -> Dst {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Fold { before, .. } if before == offset => Dst::First,
        AmbiguousOffset::Fold { .. } => Dst::Second,
        _ => Dst::Plain,
    }
}

fn whole_second(time: DateTime) -> DateTime {
    time.with().subsec_nanosecond(0).build().unwrap_or(time)
}

/// The first whole minute from `time` on. Offsets have had seconds until 1972.
fn whole_minute_from(time: DateTime) -> Option<DateTime> {
    if time.second() == 0 && time.subsec_nanosecond() == 0 {
        return Some(time);
    }
    let minute = time.with().second(0).subsec_nanosecond(0).build().ok()?;
    minute.checked_add(SignedDuration::from_mins(1)).ok()
}
