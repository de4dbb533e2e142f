//! What becomes of occurrences that were due while nobody planned: which are caught up, and which are missed and why.
//!
//! A plan that finds the watermark behind by more than the grace has found a gap, and keeps the instant at which it found
//! it. Lateness and age count from that instant, not from the clock, until the watermark has passed it.
//!
//! **How slices agree.** A long gap is planned in slices, and a crash may come between two of them. What becomes of an
//! occurrence depends on three things alone: the gap, the limits, and how many late occurrences of its task come after it
//! ([`CatchUp::verdict`]). None of the three depends on where the gap began, where a slice begins or ends, or what has
//! been planned already: the schedule itself tells how many come after. So a slice needs to look ahead to the end of the
//! gap, which is a count and no walk, and never back; slices in any cut give what one piece gives, joined by
//! [`Missed::joined`].
//!
//! An edit of the limits between two slices counts from the next slice on: what was chosen stands, and every occurrence
//! is still either planned or missed.
//!
//! A task that was edited within the gap has one schedule for each part of it; what comes after a slice is then counted
//! over all of them, each in its own part ([`Gap::late`]).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::duration;
use super::schedule::Schedule;
use super::word::words;

/// What is late by less than this is on time, unless a setting says otherwise.
pub const GRACE: Duration = Duration::from_secs(60);

words! {
    /// Which of the late occurrences of a task are caught up.
    #[derive(Default)]
    pub enum CatchUpMode: "catch-up mode" {
        /// None.
        Skip = "skip",
        /// The latest one: it stands for the others.
        #[default]
        Once = "once",
        /// All of them, as far as age and count allow.
        All = "all",
    }
}

/// How a task catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatchUp {
    /// Which occurrences.
    pub mode: CatchUpMode,
    /// What is late by so much, or more, is not caught up.
    #[serde(with = "duration::text")]
    pub max_age: Duration,
    /// Most occurrences that `all` catches up, the latest ones.
    pub max_count: u32,
}

impl Default for CatchUp {
    fn default() -> Self {
        Self { mode: CatchUpMode::Once, max_age: Duration::from_hours(24), max_count: 100 }
    }
}

words! {
    /// Why an occurrence has no execution.
    pub enum MissReason: "reason" {
        /// Nobody planned when it was due, and later ones that are caught up stand for it.
        Down = "down",
        /// Nobody planned when it was due, and its task catches nothing up.
        SkippedByPolicy = "skipped_by_policy",
        /// Nobody planned when it was due, and it was too late when somebody did.
        TooOld = "too_old",
        /// Its task was paused.
        Paused = "paused",
        /// Its task was deleted.
        Deleted = "deleted",
        /// The real cron ran the line then.
        RunByCron = "run_by_cron",
    }
}

/// Occurrences in a row that have no execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// How many, the first and the last among them.
    pub count: u64,
    /// Why.
    pub reason: MissReason,
}

impl Missed {
    /// All that a schedule yields after `after` and not after `through`, for one reason; `None` when it yields nothing.
    pub fn all(
        schedule: &Schedule,
        after: Timestamp,
        through: Timestamp,
        reason: MissReason,
    ) -> Option<Self> {
        Some(Self {
            from: schedule.first(after, through)?,
            to: schedule.last(after, through)?,
            count: schedule.count(after, through),
            reason,
        })
    }

    /// Both as one, if they have the same reason. Whoever joins them knows that nothing lies between them.
    pub fn joined(self, next: Self) -> Option<Self> {
        let count = self.count.saturating_add(next.count);
        (self.reason == next.reason).then_some(Self { to: next.to, count, ..self })
    }
}

/// A time in which nobody planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it was found: lateness and age count from here.
    pub to: Timestamp,
    /// What is late by less is on time.
    pub grace: Duration,
}

impl Gap {
    /// One that is found now, if everything is planned through an instant that is behind by more than the grace.
    pub fn found(planned_through: Timestamp, now: Timestamp) -> Option<Self> {
        let gap = Self { to: now, grace: GRACE };
        (planned_through < gap.late_through()).then_some(gap)
    }

    /// The last instant that is late.
    pub fn late_through(&self) -> Timestamp {
        before(self.to, self.grace)
    }

    /// How many late occurrences a schedule yields after `after` and not after `through`.
    pub fn late(&self, schedule: &Schedule, after: Timestamp, through: Timestamp) -> u64 {
        schedule.count(after, through.min(self.late_through()))
    }
}

/// What becomes of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an execution like any other.
    OnTime,
    /// It is an execution that comes late.
    CaughtUp,
    /// It has no execution.
    Missed(MissReason),
}

/// What becomes of the occurrences of a slice, in rising order: those that are missed, those that are caught up, those
/// on time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Too old ones first, then those that others stand for: two rows at most.
    pub missed: Vec<Missed>,
    /// Executions that come late.
    pub caught_up: Vec<Timestamp>,
    /// Executions like any other.
    pub on_time: Vec<Timestamp>,
}

impl CatchUp {
    /// Most occurrences that are caught up.
    fn most(&self) -> u64 {
        match self.mode {
            CatchUpMode::Skip => 0,
            CatchUpMode::Once => 1,
            CatchUpMode::All => self.max_count.into(),
        }
    }

    /// The last instant that is too old. With `skip` nothing is: the policy tells why it is missed.
    fn old_through(&self, gap: &Gap) -> Timestamp {
        match self.mode {
            CatchUpMode::Skip => Timestamp::MIN,
            _ => before(gap.to, self.max_age).min(gap.late_through()),
        }
    }

    /// Why a late occurrence that is not too old is missed.
    fn reason(&self) -> MissReason {
        if self.most() == 0 { MissReason::SkippedByPolicy } else { MissReason::Down }
    }

    /// What becomes of one occurrence, which `newer` late occurrences of its task come after. Also of one that was
    /// planned ahead of a crash: what is Pending and late belongs to the gap.
    pub fn verdict(&self, at: Timestamp, newer: u64, gap: &Gap) -> Verdict {
        if at > gap.late_through() {
            Verdict::OnTime
        } else if at <= self.old_through(gap) {
            Verdict::Missed(MissReason::TooOld)
        } else if newer < self.most() {
            Verdict::CaughtUp
        } else {
            Verdict::Missed(self.reason())
        }
    }

    /// What becomes of what a schedule yields after `after` and not after `through`, which `newer` late occurrences of
    /// the task come after: by [`Gap::late`], of this schedule and of those that follow it. What is missed is counted;
    /// what is planned is listed, and [`CatchUp::planned`] tells before how many that will be.
    pub fn choose(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        through: Timestamp,
        newer: u64,
        gap: &Gap,
    ) -> Choice {
        let [old, late, on_time] = self.parts(after, through, gap);
        let room = usize::try_from(self.most().saturating_sub(newer)).unwrap_or(usize::MAX);
        let caught_up = schedule.latest(late.0, late.1, room);
        // Up to the first that is caught up; a nanosecond before it there is nothing else.
        let left_through = caught_up.first().map_or(late.1, |first| before(*first, Duration::from_nanos(1)));
        let missed = [
            Missed::all(schedule, old.0, old.1, MissReason::TooOld),
            Missed::all(schedule, late.0, left_through, self.reason()),
        ];
        Choice {
            missed: missed.into_iter().flatten().collect(),
            caught_up,
            on_time: schedule.walk(on_time.0, on_time.1).collect(),
        }
    }

    /// How many executions [`CatchUp::choose`] lists, without listing them: whoever cuts slices asks this.
    pub fn planned(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        through: Timestamp,
        newer: u64,
        gap: &Gap,
    ) -> u64 {
        let [_, late, on_time] = self.parts(after, through, gap);
        let room = self.most().saturating_sub(newer);
        let caught_up = if room == 0 { 0 } else { schedule.count(late.0, late.1).min(room) };
        caught_up + schedule.count(on_time.0, on_time.1)
    }

    /// A window's parts, each after one instant and not after another: too old, late, on time.
    fn parts(&self, after: Timestamp, through: Timestamp, gap: &Gap) -> [(Timestamp, Timestamp); 3] {
        let (old, late) = (self.old_through(gap), gap.late_through());
        [(after, through.min(old)), (after.max(old), through.min(late)), (after.max(late), through)]
    }
}

/// An instant before another one, but not before the calendar.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::super::cron::{CronDialect, CronExpr};
    use super::super::schedule::Every;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Every five seconds.
    fn five_seconds() -> Schedule {
        Schedule::Every(Every::new(Duration::from_secs(5), at("2020-01-01T00:00:00Z")).unwrap())
    }

    fn gap(to: &str) -> Gap {
        Gap { to: at(to), grace: GRACE }
    }

    /// As the planner does it in one piece.
    fn whole(
        policy: &CatchUp,
        schedule: &Schedule,
        after: Timestamp,
        through: Timestamp,
        gap: &Gap,
    ) -> Choice {
        policy.choose(schedule, after, through, gap.late(schedule, through, gap.to), gap)
    }

    #[test]
    fn a_gap_is_more_than_the_grace() {
        let now = at("2026-11-27T12:00:00Z");
        assert_eq!(Gap::found(at("2026-11-27T11:59:00Z"), now), None);
        assert_eq!(Gap::found(at("2026-11-27T11:58:59.999Z"), now), Some(Gap { to: now, grace: GRACE }));
        assert_eq!(Gap::found(at("2026-11-27T12:00:02Z"), now), None);
    }

    #[test]
    fn each_mode_after_three_hours_three_days_and_two_weeks() {
        use CatchUpMode::{All, Once, Skip};
        let gap = gap("2026-11-27T12:00:00Z");
        let now = gap.to;
        // Twelve of the last minute are on time: 11:59:05 to 12:00:00.
        for (hours, mode, too_old, left, caught_up) in [
            (3, Skip, 0, 2_148, 0),
            (3, Once, 0, 2_147, 1),
            (3, All, 0, 2_048, 100),
            (72, Skip, 0, 51_828, 0),
            (72, Once, 34_560, 17_267, 1),
            (72, All, 34_560, 17_168, 100),
            (336, Skip, 0, 241_908, 0),
            (336, Once, 224_640, 17_267, 1),
            (336, All, 224_640, 17_168, 100),
        ] {
            let policy = CatchUp { mode, ..CatchUp::default() };
            let after = now - SignedDuration::from_hours(hours);
            let choice = whole(&policy, &five_seconds(), after, now, &gap);
            let count = |reason| -> u64 {
                choice.missed.iter().filter(|missed| missed.reason == reason).map(|missed| missed.count).sum()
            };
            let reason = if mode == Skip { MissReason::SkippedByPolicy } else { MissReason::Down };
            let found = (count(MissReason::TooOld), count(reason), choice.caught_up.len());
            assert_eq!(found, (too_old, left, caught_up), "{hours} h, {mode}");
            assert_eq!((choice.on_time.len(), choice.on_time[0]), (12, at("2026-11-27T11:59:05Z")));
            let planned = policy.planned(&five_seconds(), after, now, 0, &gap);
            assert_eq!(planned, (caught_up + 12) as u64);
        }
    }

    #[test]
    fn the_edges_of_grace_and_age() {
        let policy = CatchUp { mode: CatchUpMode::All, max_count: 1_000_000, ..CatchUp::default() };
        let gap = gap("2026-11-27T12:00:00Z");
        for (time, verdict) in [
            ("2026-11-27T12:00:01Z", Verdict::OnTime),
            ("2026-11-27T11:59:00.001Z", Verdict::OnTime),
            ("2026-11-27T11:59:00Z", Verdict::CaughtUp),
            ("2026-11-26T12:00:00.001Z", Verdict::CaughtUp),
            ("2026-11-26T12:00:00Z", Verdict::Missed(MissReason::TooOld)),
        ] {
            assert_eq!(policy.verdict(at(time), 0, &gap), verdict, "{time}");
        }
        // What is on time is on time, however small the age is.
        let none = CatchUp { max_age: Duration::ZERO, ..policy };
        assert_eq!(none.verdict(at("2026-11-27T11:59:30Z"), 0, &gap), Verdict::OnTime);
        assert_eq!(none.verdict(at("2026-11-27T11:59:00Z"), 0, &gap), Verdict::Missed(MissReason::TooOld));
        let forever = CatchUp { max_age: Duration::MAX, ..policy };
        assert_eq!(
            forever.verdict(Timestamp::MIN + SignedDuration::from_secs(1), 0, &gap),
            Verdict::CaughtUp
        );
    }

    #[test]
    fn a_schedule_that_was_edited_within_the_gap_is_caught_up_once() {
        let gap = gap("2026-11-27T12:00:00Z");
        let edit = at("2026-11-27T10:00:00Z");
        let (old, new) = (five_seconds(), Schedule::Once { at: at("2026-11-27T11:00:00Z") });
        let policy = CatchUp::default();
        let newer = gap.late(&old, edit, edit) + gap.late(&new, edit, gap.to);
        let first = policy.choose(&old, at("2026-11-27T09:00:00Z"), edit, newer, &gap);
        assert_eq!((first.caught_up, first.missed[0].count), (vec![], 720));
        let second = policy.choose(&new, edit, gap.to, 0, &gap);
        assert_eq!((second.caught_up, second.missed), (vec![at("2026-11-27T11:00:00Z")], vec![]));
    }

    #[test]
    fn it_is_read_and_written_in_words() {
        let policy: CatchUp = serde_json::from_str(r#"{"mode":"all","max_age":"90m"}"#).unwrap();
        let text = r#"{"mode":"all","max_age":"1h30m","max_count":100}"#;
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        assert_eq!(serde_json::from_str::<CatchUp>("{}").unwrap(), CatchUp::default());
        for bad in [r#"{"mode":"none"}"#, r#"{"max_age":"soon"}"#, r#"{"max_count":-1}"#, r#"{"age":"1h"}"#] {
            assert!(serde_json::from_str::<CatchUp>(bad).is_err(), "{bad}");
        }
        assert_eq!(MissReason::WORDS.join(" "), "down skipped_by_policy too_old paused deleted run_by_cron");
    }

    fn schedule() -> impl Strategy<Value = Schedule> {
        let cron = |text: &str| Schedule::Cron {
            expr: CronExpr::parse(text, CronDialect::Scheduler, 0).unwrap(),
            zone: TimeZone::get("America/New_York").unwrap(),
        };
        let crons = ["*/7 * * * *", "30 1 * * *", "*/20 30 2 * * *", "0 */6 * * *"].map(cron);
        let every = (60u64..40_000, 0i64..2_000_000).prop_map(|(period, anchor)| {
            let anchor = Timestamp::from_second(1_793_000_000 + anchor).unwrap();
            Schedule::Every(Every::new(Duration::from_secs(period), anchor).unwrap())
        });
        prop_oneof![every, prop::sample::select(crons.to_vec())]
    }

    fn policy() -> impl Strategy<Value = CatchUp> {
        let mode = prop::sample::select(CatchUpMode::ALL);
        (mode, 0u64..200, 0u32..30).prop_map(|(mode, hours, max_count)| CatchUp {
            mode,
            max_age: Duration::from_hours(hours),
            max_count,
        })
    }

    /// Joins what two slices chose.
    fn join(mut one: Choice, other: Choice) -> Choice {
        for next in other.missed {
            match one.missed.last_mut() {
                Some(last) if one.caught_up.is_empty() && last.joined(next).is_some() => {
                    *last = last.joined(next).unwrap();
                }
                _ => one.missed.push(next),
            }
        }
        one.caught_up.extend(other.caught_up);
        one.on_time.extend(other.on_time);
        one
    }

    proptest! {
        #[test]
        fn slices_choose_what_one_piece_chooses_and_what_is_said_of_each_occurrence(
            schedule in schedule(),
            policy in policy(),
            // Around the end of daylight saving, 2026-11-01T06:00:00Z.
            start in 1_793_000_000i64..1_794_000_000,
            length in 1i64..900_000,
            grace in 0u64..400,
            cuts in prop::collection::vec(0i64..1_000_000, 0..6),
            ahead in 0i64..600,
        ) {
            let after = Timestamp::from_second(start).unwrap();
            let to = Timestamp::from_second(start + length).unwrap();
            let gap = Gap { to, grace: Duration::from_secs(grace) };
            let through = to + SignedDuration::from_secs(ahead);
            let piece = whole(&policy, &schedule, after, through, &gap);

            let mut bounds: Vec<Timestamp> = cuts.iter()
                .map(|cut| after + SignedDuration::from_secs(cut * (length + ahead) / 1_000_000))
                .chain([after, through]).collect();
            bounds.sort_unstable();
            let sliced = bounds.windows(2)
                .map(|pair| whole(&policy, &schedule, pair[0], pair[1], &gap))
                .fold(Choice::default(), join);
            prop_assert_eq!(&sliced, &piece);

            let all: Vec<Timestamp> = schedule.walk(after, through).collect();
            let late = all.iter().filter(|at| **at <= gap.late_through()).count();
            let mut told = Choice::default();
            for (index, at) in all.iter().enumerate() {
                let newer = late.saturating_sub(index + 1) as u64;
                match policy.verdict(*at, newer, &gap) {
                    Verdict::OnTime => told.on_time.push(*at),
                    Verdict::CaughtUp => told.caught_up.push(*at),
                    Verdict::Missed(reason) => {
                        let one = Missed { from: *at, to: *at, count: 1, reason };
                        told = join(told, Choice { missed: vec![one], ..Choice::default() });
                    }
                }
            }
            prop_assert_eq!(&told, &piece);

            let planned = policy.planned(&schedule, after, through, 0, &gap);
            prop_assert_eq!(planned, (piece.caught_up.len() + piece.on_time.len()) as u64);
            // Nothing is lost, nothing is there twice.
            let missed: u64 = piece.missed.iter().map(|missed| missed.count).sum();
            prop_assert_eq!(missed + planned, all.len() as u64);
        }
    }
}
