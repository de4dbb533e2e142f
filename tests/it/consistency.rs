//! Whatever happens in whatever order: no event is lost or counted twice, the syncs make the tables equal to their
//! sources, a report is silent as long as only events and syncs happened, and a repair heals what was broken by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qs_scheduler::business::statistics::EventInput;
use qs_scheduler::counters::redis::RedisCounters;
use qs_scheduler::domain::statistics::{
    Accumulated, DailyCount, DailyKey, DayRange, Days, Distribution, EventType, PlanCounts, StatisticType,
    StatisticsEvent, Subject,
};
use qs_scheduler::domain::sync_run::SyncStatus;
use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Db, sql};
use tokio::runtime::Runtime;

use crate::support::business::{Business, Job};
use crate::support::counting::CountOne;
use crate::support::databases::TestDatabase;
use crate::support::services::PrivateRedis;

/// Organisations of one sequence.
const ORGANISATIONS: i64 = 2;

const QUESTIONNAIRES: [&str; 4] = ["PHQ-9", "a:b", "*", "k?[x]:2026-06-15"];
const WORDS: [&str; 2] = ["adhoc", "a:\"b"];
const STATES: [&str; 5] = ["pending", "opened", "completed", "expired", "canceled"];

#[derive(Clone, Debug)]
enum Step {
    Event { id: u8, interpreted: bool, questionnaire: usize, testee: bool, days: i64, word: Option<usize> },
    Sync(SyncStep),
    Task { plan: i64, number: i64, testee: i64, state: usize },
    DeleteTask { number: i64 },
    Break(Break, u16),
    Advance { hours: i64 },
}

#[derive(Clone, Copy, Debug)]
enum SyncStep {
    Daily,
    Window { from: i64, days: i64 },
    Accumulated,
    Plan,
    Report,
    Repair,
}

/// What somebody does to a table by hand.
#[derive(Clone, Copy, Debug)]
enum Break {
    Change(&'static str, &'static str),
    Delete(&'static str),
    ExtraDaily,
    ExtraAccumulated,
}

const DAILY: &str = "statistics_daily";
const ACCUMULATED: &str = "statistics_accumulated";
const PLAN: &str = "statistics_plan";

fn step() -> impl Strategy<Value = Step> {
    let event = (0_u8..30, any::<bool>(), 0..QUESTIONNAIRES.len(), any::<bool>(), -40_i64..=40, 0..3_usize)
        .prop_map(|(id, interpreted, questionnaire, testee, days, word)| Step::Event {
            id,
            interpreted,
            questionnaire,
            testee,
            // Most of what happens, happens today.
            days: if days % 3 == 0 { 0 } else { days },
            word: (word < WORDS.len()).then_some(word),
        });
    let sync = prop_oneof![
        Just(SyncStep::Daily),
        (-45_i64..40, 0_i64..30).prop_map(|(from, days)| SyncStep::Window { from, days }),
        Just(SyncStep::Accumulated),
        Just(SyncStep::Plan),
        Just(SyncStep::Report),
        Just(SyncStep::Repair),
    ];
    let task = (1_i64..4, 0_i64..5, 1_i64..4, 0..STATES.len())
        .prop_map(|(plan, number, testee, state)| Step::Task { plan, number, testee, state });
    prop_oneof![
        8 => event,
        8 => sync.prop_map(Step::Sync),
        2 => task,
        1 => (0_i64..5).prop_map(|number| Step::DeleteTask { number }),
        2 => (1_i64..60).prop_map(|hours| Step::Advance { hours }),
    ]
}

fn breaking() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        Just(Break::Change(DAILY, "submission_count")),
        Just(Break::Change(DAILY, "completion_count")),
        Just(Break::Delete(DAILY)),
        Just(Break::ExtraDaily),
        Just(Break::Change(ACCUMULATED, "total_submissions")),
        Just(Break::Change(ACCUMULATED, "last15d_submissions")),
        Just(Break::Delete(ACCUMULATED)),
        Just(Break::ExtraAccumulated),
        Just(Break::Change(PLAN, "pending_tasks")),
        Just(Break::Delete(PLAN)),
    ];
    (how, any::<u16>()).prop_map(|(how, which)| Step::Break(how, which))
}

/// Steps, each for one organisation; half of the sequences leave the tables alone.
fn sequence() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let peaceful = prop::collection::vec((0..ORGANISATIONS, step()), 1..25);
    let each = prop_oneof![6 => step().boxed(), 1 => breaking().boxed()];
    let violent = prop::collection::vec((0..ORGANISATIONS, each), 1..25);
    prop_oneof![peaceful.boxed(), violent.boxed()]
}

/// What one organisation must have, counted in the simplest way.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u8>,
    counts: BTreeMap<DailyKey, DailyCount>,
    /// Rows that were put into `statistics_daily` by hand: a repair takes them for lost counters.
    extra: Vec<DailyCount>,
    plans: BTreeSet<i64>,
    /// Number → plan, testee, state.
    tasks: BTreeMap<i64, (i64, i64, &'static str)>,
    deleted: BTreeSet<i64>,
    broken: bool,
}

impl Model {
    fn add(&mut self, key: DailyKey, count: &DailyCount) {
        let mine = self.counts.entry(key.clone()).or_insert_with(|| empty(key));
        mine.submissions += count.submissions;
        mine.completions += count.completions;
        mine.distribution.add(&count.distribution);
    }

    fn repaired(&mut self) {
        for extra in std::mem::take(&mut self.extra) {
            self.counts.entry(extra.key.clone()).or_insert(extra);
        }
    }

    fn accumulated(&self, today: Date) -> BTreeMap<Subject, Accumulated> {
        let mut totals: BTreeMap<Subject, Accumulated> = BTreeMap::new();
        for (key, count) in &self.counts {
            let subject = key.subject.clone();
            let total = totals.entry(subject.clone()).or_insert_with(|| Accumulated::empty(subject));
            total.total_submissions += count.submissions;
            total.total_completions += count.completions;
            for (sum, days) in total.last_days.iter_mut().zip([7_i64, 15, 30]) {
                let first = today.checked_sub((days - 1).days()).unwrap();
                if first <= key.date && key.date <= today {
                    *sum += count.submissions;
                }
            }
            total.distribution.add(&count.distribution);
            if count.submissions + count.completions > 0 {
                let (start, end) = total.occurred.map_or((key.date, key.date), |d| (d.start, d.end));
                total.occurred = Some(DayRange { start: start.min(key.date), end: end.max(key.date) });
            }
        }
        totals
    }

    fn plan(&self, org_id: i64, plan: i64) -> PlanCounts {
        let tasks = || self.tasks.values().filter(|(of, ..)| *of == plan);
        let number = |states: &[&str]| tasks().filter(|task| states.contains(&task.2)).count();
        let testees = |done: bool| {
            tasks()
                .filter(|task| !done || task.2 == "completed")
                .map(|task| task.1)
                .collect::<BTreeSet<_>>()
                .len()
        };
        let int = |number: usize| i64::try_from(number).unwrap();
        PlanCounts {
            plan_id: id(org_id, plan),
            total_tasks: int(tasks().count()),
            completed_tasks: int(number(&["completed"])),
            pending_tasks: int(number(&["pending", "opened"])),
            expired_tasks: int(number(&["expired"])),
            enrolled_testees: int(testees(false)),
            active_testees: int(testees(true)),
        }
    }
}

fn empty(key: DailyKey) -> DailyCount {
    DailyCount { key, submissions: 0, completions: 0, distribution: Distribution::default() }
}

fn subject(statistic: StatisticType, key: impl Into<String>) -> Subject {
    Subject { statistic, key: key.into() }
}

/// Plans and tasks have numbers of their own in each organisation.
fn id(org_id: i64, number: i64) -> i64 {
    org_id * 1_000 + number
}

/// One sequence under way.
struct World<'a> {
    business: &'a Business,
    first: i64,
    models: Vec<Model>,
}

impl World<'_> {
    async fn step(&mut self, org: i64, step: Step) {
        let org_id = self.first + org;
        let index = usize::try_from(org).unwrap();
        self.business.clock.advance(SignedDuration::from_millis(1));
        match step {
            Step::Event { id, interpreted, questionnaire, testee, days, word } => {
                let event = Event { id, interpreted, questionnaire, testee, days, word };
                self.event(org_id, index, event).await;
            }
            Step::Sync(sync) => self.sync(org_id, index, sync).await,
            Step::Task { plan, number, testee, state } => {
                self.task(org_id, index, plan, number, testee, STATES[state]).await;
            }
            Step::DeleteTask { number } => {
                if self.models[index].tasks.remove(&number).is_none() {
                    return;
                }
                self.models[index].deleted.insert(number);
                let query = sql("update assessment_task set deleted_at = ? where id = ?");
                self.execute(query.bind(self.business.wall()).bind(id(org_id, number))).await;
            }
            Step::Break(how, which) => self.break_it(org_id, index, how, which).await,
            Step::Advance { hours } => self.business.clock.advance(SignedDuration::from_hours(hours)),
        }
    }

    async fn event(&mut self, org_id: i64, index: usize, event: Event) {
        let Event { id, interpreted, questionnaire, testee, days, word } = event;
        let business = self.business;
        let occurred_at = business.now() + SignedDuration::from_hours(24 * days);
        let date = business.today().checked_add(days.days()).unwrap();
        let event_type = if interpreted { EventType::Interpreted } else { EventType::Submitted };
        let word = word.map(|word| WORDS[word].to_owned());
        let (origin, risk_level) = if interpreted { (None, word) } else { (word, None) };
        let code = QUESTIONNAIRES[questionnaire];
        let testee = testee.then(|| format!("{}:7", id % 2));
        let mut subjects = vec![subject(StatisticType::Questionnaire, code)];
        subjects.extend(testee.as_ref().map(|testee| subject(StatisticType::Testee, testee)));
        let event = StatisticsEvent {
            event_id: format!("e:{id}"),
            event_type,
            occurred_at,
            date,
            subjects,
            origin: origin.clone(),
            risk_level: risk_level.clone(),
        };
        let counted = if days <= 0 {
            let input = EventInput {
                event_id: event.event_id.clone(),
                event_type,
                questionnaire_code: Some(code.to_owned()),
                testee_id: testee,
                plan_id: None,
                origin,
                risk_level,
                occurred_at: Some(occurred_at),
            };
            let counted = business.statistics.count(org_id, vec![input]).await.pop().unwrap().unwrap();
            assert_eq!(counted.date, date);
            counted.counted
        } else {
            // The intake refuses what lies ahead; other programs may count it.
            business.counters.count_one(org_id, &event, business.now()).await.unwrap()
        };
        let model = &mut self.models[index];
        assert_eq!(counted, model.seen.insert(id), "an id counts once");
        if counted {
            for count in event.increments() {
                model.add(count.key.clone(), &count);
            }
        }
    }

    async fn sync(&mut self, org_id: i64, index: usize, sync: SyncStep) {
        let day = |days: i64| self.business.today().checked_add(days.days()).unwrap();
        let job = match sync {
            SyncStep::Daily => Job::Daily,
            SyncStep::Window { from, days } => {
                Job::Window(DayRange { start: day(from), end: day(from + days) })
            }
            SyncStep::Accumulated => Job::Accumulated,
            SyncStep::Plan => Job::Plan,
            SyncStep::Report => Job::Report,
            SyncStep::Repair => Job::Repair,
        };
        let run = self.business.run(org_id, job).await;
        let model = &mut self.models[index];
        let may_fail = matches!(sync, SyncStep::Report) && model.broken;
        assert!(may_fail || run.status == SyncStatus::Succeeded, "{sync:?}: {run:?}");
        if matches!(sync, SyncStep::Repair) {
            model.repaired();
        }
    }

    async fn task(
        &mut self,
        org_id: i64,
        index: usize,
        plan: i64,
        number: i64,
        testee: i64,
        state: &'static str,
    ) {
        let wall = self.business.wall();
        let model = &mut self.models[index];
        if model.deleted.contains(&number) {
            return;
        }
        // A task keeps its plan and its person.
        let known = model.tasks.get(&number).copied();
        let (plan, testee) = known.map_or((plan, testee), |(plan, testee, _)| (plan, testee));
        let new_plan = model.plans.insert(plan);
        model.tasks.insert(number, (plan, testee, state));
        if new_plan {
            let query =
                sql("insert into assessment_plan (id, org_id, scale_code, schedule_type, total_times, \
                             created_at, updated_at) values (?, ?, 's', 'custom', 1, ?, ?)");
            self.execute(query.bind(id(org_id, plan)).bind(org_id).bind(&wall).bind(&wall)).await;
        }
        self.execute(sql("delete from assessment_task where id = ?").bind(id(org_id, number))).await;
        let query =
            sql("insert into assessment_task (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, \
                         status, created_at, updated_at) values (?, ?, 1, ?, ?, 's', ?, ?, ?, ?)");
        let query = query.bind(id(org_id, number)).bind(id(org_id, plan)).bind(org_id).bind(testee);
        self.execute(query.bind(&wall).bind(state).bind(&wall).bind(&wall)).await;
    }

    async fn break_it(&mut self, org_id: i64, index: usize, how: Break, which: u16) {
        let business = self.business;
        let model = &mut self.models[index];
        model.broken = true;
        match how {
            Break::Change(table, _) | Break::Delete(table) => {
                // An extra row is what it is: nobody knows better.
                let known = if table == DAILY { "and statistic_type <> 'screening'" } else { "" };
                let query = sql(format!("select id from {table} where org_id = ? {known} order by id"));
                let rows = business.db.fetch_all(query.bind(org_id)).await.unwrap();
                if rows.is_empty() {
                    return;
                }
                let row = rows[usize::from(which) % rows.len()].clone().columns().int().unwrap();
                let text = match how {
                    Break::Change(_, column) => {
                        format!("update {table} set {column} = {column} + 3 where id = ?")
                    }
                    _ => format!("delete from {table} where id = ?"),
                };
                self.execute(sql(text).bind(row)).await;
            }
            Break::ExtraDaily => {
                let date = business.today().checked_sub((i64::from(which % 50)).days()).unwrap();
                let subject = subject(StatisticType::Screening, format!("extra:{}", which % 3));
                let extra =
                    DailyCount { submissions: 2, completions: 1, ..empty(DailyKey { subject, date }) };
                // What a repair has given back has a counter.
                if !model.counts.contains_key(&extra.key) && !model.extra.contains(&extra) {
                    model.extra.push(extra.clone());
                    business.store.put_daily(org_id, &[extra], business.now()).await.unwrap();
                }
            }
            Break::ExtraAccumulated => {
                let ghost = subject(StatisticType::Testee, format!("ghost {}", which % 2));
                let row = Accumulated { total_submissions: 5, ..Accumulated::empty(ghost) };
                business.store.put_accumulated(org_id, &[row], business.now()).await.unwrap();
            }
        }
    }

    async fn execute(&self, query: qs_scheduler::sql::Statement) {
        self.business.db.execute(query).await.unwrap();
    }

    /// Everything is synced and repaired; then everything is equal.
    async fn settle(&mut self) {
        for index in 0..self.models.len() {
            let org_id = self.first + i64::try_from(index).unwrap();
            for job in [Job::Daily, Job::Accumulated, Job::Plan, Job::Repair] {
                self.business.done(org_id, job).await;
            }
            self.models[index].repaired();
            let report = self.business.done(org_id, Job::Report).await;
            assert_eq!(report.progress.written, 0);
            self.compare(org_id, &self.models[index]).await;
        }
    }

    async fn compare(&self, org_id: i64, model: &Model) {
        let (store, counters) = (&self.business.store, &self.business.counters);
        let page = counters.page(org_id, &Days::All, None, 10_000).await.unwrap();
        let counted: BTreeMap<DailyKey, DailyCount> =
            page.counters.into_iter().map(|counter| (counter.count.key.clone(), counter.count)).collect();
        assert_eq!(counted, model.counts, "the counters have every event once");
        let rows = store.daily_page(org_id, None, 10_000).await.unwrap();
        let rows: BTreeMap<DailyKey, DailyCount> =
            rows.into_iter().map(|row| (row.count.key.clone(), row.count)).collect();
        assert_eq!(rows, counted, "the rows are the counters");

        let expected = model.accumulated(self.business.today());
        let query = sql("select statistic_type, statistic_key from statistics_accumulated where org_id = ?");
        let rows = self.business.db.fetch_all(query.bind(org_id)).await.unwrap();
        let subjects: Vec<Subject> = rows
            .into_iter()
            .map(|row| {
                let mut columns = row.columns();
                Subject { statistic: columns.parsed().unwrap(), key: columns.text().unwrap() }
            })
            .collect();
        let totals = store.accumulated_of(org_id, &subjects).await.unwrap();
        let (ghosts, totals): (Vec<Accumulated>, Vec<Accumulated>) =
            totals.into_iter().partition(|total| total.subject.key.starts_with("ghost"));
        assert!(ghosts.iter().all(|ghost| *ghost == Accumulated::empty(ghost.subject.clone())), "{ghosts:?}");
        let totals: BTreeMap<Subject, Accumulated> =
            totals.into_iter().map(|total| (total.subject.clone(), total)).collect();
        assert_eq!(totals, expected, "the totals are the sums");

        let ids: Vec<i64> = model.plans.iter().map(|plan| id(org_id, *plan)).collect();
        let mut plans = store.plans_of(org_id, &ids).await.unwrap();
        plans.sort_by_key(|plan| plan.plan_id);
        let expected: Vec<PlanCounts> = model.plans.iter().map(|plan| model.plan(org_id, *plan)).collect();
        assert_eq!(plans, expected, "the plans are their tasks");
    }
}

/// The fields of [`Step::Event`].
struct Event {
    id: u8,
    interpreted: bool,
    questionnaire: usize,
    testee: bool,
    days: i64,
    word: Option<usize>,
}

/// Many sequences on one database, each with organisations of its own.
fn check(runtime: &Runtime, cases: u32, make: impl Fn() -> Business) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let next = std::cell::Cell::new(1_i64);
    let checked = runner.run(&sequence(), |steps| {
        let first = next.replace(next.get() + ORGANISATIONS);
        let business = make();
        let models = (0..ORGANISATIONS).map(|_| Model::default()).collect();
        let mut world = World { business: &business, first, models };
        runtime.block_on(async {
            for (org, step) in steps {
                world.step(org, step).await;
            }
            world.settle().await;
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn embedded_statistics_are_consistent() {
    let runtime = Runtime::new().unwrap();
    let database = TestDatabase::sqlite();
    let first = runtime.block_on(Business::embedded(&database));
    check(&runtime, 64, || another(&first));
}

#[test]
fn statistics_on_mysql_and_redis_are_consistent() {
    let runtime = Runtime::new().unwrap();
    let Some(database) = runtime.block_on(TestDatabase::mysql()) else { return };
    let Some(redis) = PrivateRedis::start("statistics are consistent on redis") else { return };
    let first = runtime.block_on(async {
        let (store, db): (_, Db) = (database.store().await, database.connect().await);
        let url = Secret::new(redis.url());
        let counters = RedisCounters::connect(&url, Duration::from_secs(3_600)).await.unwrap();
        Business::new(db, store, Arc::new(counters))
    });
    check(&runtime, 8, || another(&first));
}

/// With a clock of its own.
fn another(business: &Business) -> Business {
    Business::new(business.db.clone(), business.store.clone(), business.counters.clone())
}
