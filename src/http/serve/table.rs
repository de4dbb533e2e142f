//! Every open connection: which of them gives way when there is no place left, which has waited too long, and which may
//! be closed when the server ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::Limits;
use super::phase::{Phase, Seen, State};

/// From this age on a head gives way before a connection between two requests does: a younger one is on its way.
const OLD_HEAD: u64 = 500;

/// From this age on a body or a reply that does not move gives way.
const OLD_STALL: u64 = 1_000;

/// From this age on a body of which pieces come gives way, after all others: its last piece was so long ago.
const SLOW_BODY: u64 = 100;

/// How long an order in which connections give way is used.
const FRESH: u64 = 1_000;

/// How long the other side may go on sending after the last reply.
const CLOSING: Duration = Duration::from_secs(2);

/// One open connection.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it is busy with.
    pub(super) state: State,
    task: OnceLock<AbortHandle>,
}

impl Entry {
    /// The task that carries the connection.
    pub(super) fn carried_by(&self, task: AbortHandle) {
        // It is set once, by whoever spawned it.
        let _ = self.task.set(task);
    }

    /// Ends the connection, if it is still as it was seen.
    fn cut(&self, seen: Seen) -> bool {
        let Some(task) = self.task.get() else { return false };
        let cut = self.state.cut(seen);
        if cut {
            task.abort();
        }
        cut
    }
}

/// A connection that may give way.
type Candidate = (Arc<Entry>, Seen);

/// Those that give way next, the first one last.
#[derive(Debug, Default)]
struct Order {
    candidates: Vec<Candidate>,
    made_at: u64,
}

/// What one look at all connections found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// The phases of those that had waited too long.
    pub(super) timed_out: Vec<Phase>,
    /// How many there are, in the order of [`Phase::ALL`].
    pub(super) open: [usize; Phase::ALL.len()],
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Table {
    epoch: Instant,
    open: Mutex<(u64, HashMap<u64, Arc<Entry>>)>,
    order: Mutex<Order>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), open: Mutex::default(), order: Mutex::default() }
    }

    /// Milliseconds since it was made.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn open(&self) -> MutexGuard<'_, (u64, HashMap<u64, Arc<Entry>>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Candidate> {
        self.open().1.values().map(|entry| (Arc::clone(entry), entry.state.seen())).collect()
    }

    /// A place for a connection, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let entry = Arc::new(Entry { state: State::new(self.epoch), task: OnceLock::new() });
        let (next, open) = &mut *self.open();
        *next += 1;
        open.insert(*next, Arc::clone(&entry));
        Place { table: Arc::clone(self), number: *next, entry }
    }

    /// Ends the connection that may best be missed, and says what it was busy with. `None`: a handler works on each.
    pub(super) fn give_way(&self, now: u64) -> Option<Phase> {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(order.made_at) < FRESH
            && let Some(phase) = first_cut(&mut order.candidates)
        {
            return Some(phase);
        }
        *order = Order { candidates: in_order(self.all(), now), made_at: now };
        first_cut(&mut order.candidates)
    }

    /// Ends those that have waited too long.
    pub(super) fn sweep(&self, limits: &Limits, now: u64) -> Swept {
        let mut swept = Swept::default();
        for (entry, seen) in self.all() {
            let phase = seen.phase();
            let age = Duration::from_millis(now.saturating_sub(seen.since()));
            if patience(phase, limits).is_some_and(|patience| age >= patience) && entry.cut(seen) {
                swept.timed_out.push(phase);
            } else if let Some(count) = swept.open.get_mut(phase as usize) {
                *count += 1;
            }
        }
        swept
    }

    /// Ends those on which nothing is done: the server ends.
    pub(super) fn close_waiting(&self) {
        for (entry, seen) in self.all() {
            if matches!(seen.phase(), Phase::Head | Phase::Idle | Phase::Closing) {
                entry.cut(seen);
            }
        }
    }

    /// Ends all; tells how many had a request under way.
    pub(super) fn close_all(&self) -> usize {
        let under_way = |phase| matches!(phase, Phase::Working | Phase::Body | Phase::Reply | Phase::Stalled);
        let mut cut_off = 0;
        for (entry, mut seen) in self.all() {
            while !entry.cut(seen) && entry.state.seen() != seen {
                seen = entry.state.seen();
            }
            cut_off += usize::from(under_way(seen.phase()));
        }
        cut_off
    }
}

/// How long a connection may be in a phase. A handler has the deadline of its request, and a reply that is taken may
/// last; the body is awaited by whoever reads it.
fn patience(phase: Phase, limits: &Limits) -> Option<Duration> {
    match phase {
        Phase::Head => Some(limits.header_timeout),
        Phase::Idle => Some(limits.idle_timeout),
        Phase::Stalled => Some(limits.write_timeout),
        Phase::Closing => Some(CLOSING),
        Phase::Body | Phase::Working | Phase::Reply | Phase::Cut => None,
    }
}

/// Who gives way before whom; `None`: not at all.
fn rank(seen: Seen, now: u64) -> Option<u8> {
    let age = now.saturating_sub(seen.since());
    match seen.phase() {
        Phase::Closing => Some(0),
        Phase::Head if age >= OLD_HEAD => Some(1),
        Phase::Idle => Some(2),
        Phase::Head => Some(3),
        Phase::Body | Phase::Stalled if age >= OLD_STALL => Some(4),
        Phase::Body if age >= SLOW_BODY => Some(5),
        Phase::Body | Phase::Stalled | Phase::Working | Phase::Reply | Phase::Cut => None,
    }
}

/// The first to give way stands last, so that it is the next one to be taken.
fn in_order(all: Vec<Candidate>, now: u64) -> Vec<Candidate> {
    let ranked =
        all.into_iter().filter_map(|(entry, seen)| Some((rank(seen, now)?, seen.since(), entry, seen)));
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_unstable_by_key(|(rank, since, ..)| std::cmp::Reverse((*rank, *since)));
    ranked.into_iter().map(|(_, _, entry, seen)| (entry, seen)).collect()
}

fn first_cut(candidates: &mut Vec<Candidate>) -> Option<Phase> {
    while let Some((entry, seen)) = candidates.pop() {
        if entry.cut(seen) {
            return Some(seen.phase());
        }
    }
    None
}

/// The place of a connection in the table.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    number: u64,
    /// What is known of it.
    pub(super) entry: Arc<Entry>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.open().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 9,
        header_timeout: Duration::from_secs(15),
        idle_timeout: Duration::from_secs(120),
        write_timeout: Duration::from_secs(30),
    };

    /// Connections in these phases, the first one being the oldest.
    fn table(phases: &[Phase]) -> (Arc<Table>, Vec<Place>) {
        let table = Arc::new(Table::new());
        let places = phases.iter().map(|phase| placed(&table, *phase)).collect();
        (table, places)
    }

    fn placed(table: &Arc<Table>, phase: Phase) -> Place {
        let place = table.enter();
        place.entry.carried_by(tokio::spawn(std::future::pending::<()>()).abort_handle());
        let state = &place.entry.state;
        match phase {
            Phase::Head => {}
            Phase::Closing => drop(state.closing()),
            _ => assert!(state.begin(phase == Phase::Body)),
        }
        match phase {
            Phase::Body => state.await_body(),
            Phase::Reply | Phase::Stalled | Phase::Idle => state.answered(),
            _ => {}
        }
        match phase {
            Phase::Stalled => state.stalled(),
            Phase::Idle => {
                state.handed_over();
                state.flushed();
            }
            _ => {}
        }
        assert_eq!(state.seen().phase(), phase);
        place
    }

    #[tokio::test]
    async fn who_may_best_be_missed_gives_way_first() {
        let all = [
            Phase::Working,
            Phase::Reply,
            Phase::Stalled,
            Phase::Idle,
            Phase::Head,
            Phase::Idle,
            Phase::Closing,
            Phase::Body,
        ];
        let (table, _places) = table(&all);
        let later = table.now() + OLD_STALL;
        let given: Vec<Phase> = std::iter::from_fn(|| table.give_way(later)).collect();
        assert_eq!(given[..4], [Phase::Closing, Phase::Head, Phase::Idle, Phase::Idle]);
        assert_eq!(given.len(), 6, "no handler and no reply is disturbed: {given:?}");
        assert!(given[4..].contains(&Phase::Body) && given[4..].contains(&Phase::Stalled), "{given:?}");
    }

    #[tokio::test]
    async fn a_head_that_has_just_come_is_spared_before_an_idle_connection() {
        let (table, _places) = table(&[Phase::Idle, Phase::Head]);
        let now = table.now();
        assert_eq!(table.give_way(now), Some(Phase::Idle));
        assert_eq!(table.give_way(now), Some(Phase::Head));
        assert_eq!(table.give_way(now), None);
    }

    #[tokio::test]
    async fn who_has_gone_on_since_the_order_was_made_is_left_alone() {
        let (table, places) = table(&[Phase::Head, Phase::Head, Phase::Head]);
        let later = table.now() + OLD_HEAD;
        assert_eq!(table.give_way(later), Some(Phase::Head));
        for place in &places {
            place.entry.state.begin(false);
        }
        assert_eq!(table.give_way(later), None);
    }

    #[tokio::test]
    async fn each_phase_has_its_patience() {
        let phases = [Phase::Head, Phase::Idle, Phase::Stalled, Phase::Closing, Phase::Working, Phase::Body];
        let (table, _places) = table(&phases);
        for (seconds, timed_out) in
            [(1, vec![]), (3, vec![Phase::Closing]), (16, vec![Phase::Head]), (31, vec![Phase::Stalled])]
        {
            assert_eq!(table.sweep(&LIMITS, seconds * 1_000).timed_out, timed_out, "{seconds}");
        }
        let swept = table.sweep(&LIMITS, 121_000);
        assert_eq!(swept.timed_out, [Phase::Idle]);
        assert_eq!(swept.open[Phase::Working as usize] + swept.open[Phase::Body as usize], 2);
    }

    #[tokio::test]
    async fn an_ending_server_closes_what_waits_and_then_the_rest() {
        let (table, places) = table(&[Phase::Head, Phase::Idle, Phase::Working, Phase::Stalled]);
        table.close_waiting();
        let phases: Vec<Phase> = places.iter().map(|place| place.entry.state.seen().phase()).collect();
        assert_eq!(phases, [Phase::Cut, Phase::Cut, Phase::Working, Phase::Stalled]);
        assert_eq!(table.close_all(), 2);
        drop(places);
        assert_eq!(table.all().len(), 0);
    }
}
