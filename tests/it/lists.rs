//! Lists in every database: pages that neither lose nor repeat a row, read along an index, and what clients see of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use qs_scheduler::domain::plan::AssessmentPlan;
use qs_scheduler::domain::plan_task::{PlanTask, TaskStatus};
use qs_scheduler::sql::{Columns, DatabaseKind, Db, Row, Statement, Tx, sql};
use qs_scheduler::store::business::lists::{Page, Part};
use qs_scheduler::store::business::plans::{Inserted, PlanFilter, TaskFilter};
use qs_scheduler::store::business::sql::list_statements;
use qs_scheduler::store::business::{Store, SyncAdmission, SyncFilter, SyncMark};
use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::new_run;
use crate::plans::{at, plan, task};
use crate::support::apiserver::{ACCOUNT, Server};
use crate::support::databases::TestDatabase;
use crate::support::wait::until;

const NOW: &str = "2026-11-21T08:00:00Z";

/// A list that rows are inserted into while it is read.
struct Walk {
    random: fastrand::Rng,
    store: std::sync::Arc<dyn Store>,
    /// Rows that were there before the first page.
    first: BTreeSet<String>,
    /// How often each row was read.
    read: BTreeMap<String, u32>,
    next_id: i64,
}

impl Walk {
    /// An id that is not taken, anywhere in the order.
    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.random.i64(1..1_000_000) * 1_000 + self.next_id
    }

    /// One row more of each kind; few instants, so that many share one.
    async fn insert(&mut self, first: bool) {
        let (one, other) = (self.id(), self.id());
        let planned_at = at("2026-11-20T00:00:00Z") + SignedDuration::from_hours(self.random.i64(0..3) * 24);
        let of_plan = plan(one, 1);
        assert!(self.store.insert_plan(&of_plan, at(NOW)).await.unwrap());
        let task = PlanTask { planned_at, ..task(other, &of_plan, 7, 1) };
        assert_eq!(self.store.enrol(&[task], at(NOW)).await.unwrap(), Inserted::Done);
        let started_at = at(NOW) + SignedDuration::from_millis(self.random.i64(0..3));
        let run = new_run(&format!("run-{other}"), "amy", None);
        let run =
            qs_scheduler::domain::sync_run::NewSyncRun { lease: format!("sync {other}"), started_at, ..run };
        assert!(matches!(self.store.begin(&run).await.unwrap(), SyncAdmission::Admitted));
        if first {
            self.first.extend([format!("plan {one}"), format!("task {other}"), format!("run-{other}")]);
        }
    }

    fn saw(&mut self, row: String) {
        *self.read.entry(row).or_default() += 1;
    }

    /// Rows come in while somebody reads.
    async fn meanwhile(&mut self) {
        for _ in 0..self.random.u32(0..4) {
            self.insert(false).await;
        }
    }

    async fn plans(&mut self) {
        let (mut mark, filter) =
            (None, PlanFilter { scale_code: Some("PHQ9".to_owned()), ..PlanFilter::default() });
        loop {
            let part = Part::After { mark, size: self.random.u32(1..6) };
            let found = self.store.plans(1, &filter, part.clone()).await.unwrap();
            assert!(found.items.len() <= part.size() as usize && found.total.is_none());
            found.items.iter().for_each(|plan| self.saw(format!("plan {}", plan.id)));
            let Some(next) = found.next else { return };
            mark = Some(next);
            self.meanwhile().await;
        }
    }

    async fn tasks(&mut self, filter: TaskFilter) {
        let mut mark = None;
        loop {
            let part = Part::After { mark, size: self.random.u32(1..6) };
            let found = self.store.tasks(1, filter, part.clone()).await.unwrap();
            assert!(found.items.len() <= part.size() as usize && found.total.is_none());
            found.items.iter().for_each(|task| self.saw(format!("task {}", task.id)));
            let Some(next) = found.next else { return };
            mark = Some(next);
            self.meanwhile().await;
        }
    }

    async fn syncs(&mut self) {
        let mut mark: Option<SyncMark> = None;
        loop {
            let found = self.store.recent(1, &SyncFilter::default(), mark.as_ref(), 3).await.unwrap();
            for run in &found {
                self.saw(run.read.as_ref().unwrap().id.clone());
            }
            let Some(last) = found.into_iter().next_back() else { return };
            mark = last.mark;
            self.meanwhile().await;
        }
    }

    /// Every row of this kind that was there all the time was read once, and none twice.
    fn judge(&mut self, kind: &str, about: &str) {
        for row in self.first.iter().filter(|row| row.starts_with(kind)) {
            assert_eq!(self.read.get(row), Some(&1), "{about}: {row}");
        }
        let twice: Vec<_> = self.read.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{about}: {twice:?}");
        self.read.clear();
    }
}

#[tokio::test]
async fn who_goes_on_after_the_last_row_misses_none_and_sees_none_twice() {
    for database in TestDatabase::every().await {
        let store = database.store_in("Asia/Shanghai").await;
        let seed = fastrand::u64(..);
        let random = fastrand::Rng::with_seed(seed);
        let about = format!("{}, seed {seed}", database.name);
        let (first, read) = Default::default();
        let mut walk = Walk { random, store, first, read, next_id: 0 };
        for _ in 0..30 {
            walk.insert(true).await;
        }
        walk.plans().await;
        walk.judge("plan", &about);
        for filter in [
            TaskFilter::default(),
            TaskFilter { testee_id: Some(7), ..TaskFilter::default() },
            TaskFilter { status: Some(TaskStatus::Pending), ..TaskFilter::default() },
        ] {
            walk.tasks(filter).await;
            walk.judge("task", &about);
        }
        walk.syncs().await;
        walk.judge("run", &about);
    }
}

/// Many tasks are planned for one instant, and some of them fall into the hour that a change of the clocks repeats.
#[tokio::test]
async fn a_list_goes_on_where_the_clock_shows_an_hour_twice() {
    for database in TestDatabase::every().await {
        let store = database.store_in("Europe/Berlin").await;
        let of_plan = plan(1, 1);
        store.insert_plan(&of_plan, at(NOW)).await.unwrap();
        let tasks: Vec<PlanTask> = (0..8_i64)
            .map(|n| PlanTask {
                planned_at: at("2026-10-24T23:00:00Z") + SignedDuration::from_mins(n * 30),
                ..task(n + 1, &of_plan, 7, 1)
            })
            .collect();
        assert_eq!(store.enrol(&tasks, at(NOW)).await.unwrap(), Inserted::Done);
        let (mut mark, mut ids) = (None, Vec::new());
        loop {
            let part = Part::After { mark, size: 1 };
            let found = store.tasks(1, TaskFilter::default(), part).await.unwrap();
            ids.extend(found.items.iter().map(|task| task.id));
            let Some(next) = found.next else { break };
            mark = Some(next);
        }
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8], "{}", database.name);
    }
}

/// So many plans, tasks of one of them, syncs and daily rows, as a busy organisation has.
async fn fill(db: &Db) {
    let digits = "(select 0 as d union all select 1 union all select 2 union all select 3 union all select 4 \
                  union all select 5 union all select 6 union all select 7 union all select 8 union all select 9)";
    let numbers = format!(
        "(select 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d as n from {digits} a, {digits} b, {digits} c, \
         (select 0 as d union all select 1 union all select 2 union all select 3) e) numbers"
    );
    let state = "case n % 5 when 0 then 'pending' when 1 then 'opened' when 2 then 'completed' when 3 then 'expired' \
                 else 'canceled' end";
    let stamps = "'2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000'";
    let mut tx = db.begin().await.unwrap();
    for (table, columns, values) in [
        (
            "assessment_plan",
            "id, org_id, scale_code, schedule_type, total_times, status, created_at, updated_at",
            format!(
                "n, 1 + n % 2, case when n % 7 = 1 then 'PHQ9' else 'GAD7' end, 'by_day', 1, \
                 case when n % 3 = 1 then 'active' else 'paused' end, {stamps}"
            ),
        ),
        (
            "assessment_task",
            "id, plan_id, seq, org_id, testee_id, scale_code, planned_at, status, created_at, updated_at",
            format!(
                "n, 1 + n % 2, 1, 1, 1 + n % 3, 'PHQ9', case when n % 4 < 2 then '2026-01-02 00:00:00.000' \
                 else '2026-01-03 00:00:00.000' end, {state}, {stamps}"
            ),
        ),
        (
            "qs_sync_run",
            "id, kind, org_id, trigger_type, caller, request, status, errors, started_at, finished_at",
            "n, case when n % 2 = 0 then 'daily' else 'plan' end, 1 + n % 2, 'api', 'a', 'r', 'succeeded', '[]', n, n"
                .to_owned(),
        ),
        (
            "statistics_daily",
            "org_id, statistic_type, statistic_key, stat_date, created_at, updated_at",
            format!("1 + n % 2, 'testee', n, '2026-01-02', {stamps}"),
        ),
    ] {
        let insert = format!("insert into {table} ({columns}) select {values} from {numbers}");
        tx.execute(sql(insert)).await.unwrap();
    }
    tx.commit().await.unwrap();
    // MySQL does so by itself, at some later moment; SQLite never.
    if matches!(db, Db::MySql(_)) {
        let analyze = "analyze table assessment_plan, assessment_task, qs_sync_run, statistics_daily";
        db.fetch_all(sql(analyze)).await.unwrap();
    }
}

/// The index along which SQLite goes, by its explanation.
fn index_of(explained: Row) -> Option<String> {
    let mut columns = explained.columns();
    let _id_parent_unused = [(); 3].map(|()| columns.int().unwrap());
    let detail = columns.text().unwrap();
    let (_, after) = detail.split_once(" INDEX ")?;
    after.split(' ').next().map(str::to_owned)
}

/// How many rows and index entries a connection to MySQL has looked at.
async fn looked_at(tx: &mut Tx) -> u64 {
    let names = "'Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_icp_attempts'";
    let status = sql(format!("show session status where variable_name in ({names})"));
    let read = |columns: &mut Columns| {
        columns.text()?;
        columns.parsed::<u64>()
    };
    tx.read_all(status, read).await.unwrap().into_iter().sum()
}

/// MySQL may take another index where that costs the same: what counts is how far it looks for twenty rows.
async fn looks_at_few_rows(db: &Db, statement: Statement, about: &str) {
    let mut tx = db.begin().await.unwrap();
    let before = looked_at(&mut tx).await;
    assert!(tx.fetch_all(statement).await.unwrap().len() >= 20, "nothing to look for: {about}");
    let looked = looked_at(&mut tx).await - before;
    assert!(looked <= 200, "looks at {looked} rows: {about}");
}

#[tokio::test]
async fn every_list_is_read_along_an_index() {
    for database in TestDatabase::every().await {
        database.store().await;
        let db = database.connect().await;
        fill(&db).await;
        for listed in list_statements(db.kind()) {
            let (statement, text) = (listed.statement.clone(), format!("{:?}", listed.statement));
            let rows = db.fetch_all(listed.statement.explain(db.kind())).await.unwrap();
            let said = format!("{rows:?}");
            let about = format!("{}: {}: {text}\n{said}", database.name, listed.list);
            assert_eq!(rows.len(), 1, "more than one step: {about}");
            for slow in ["TEMP B-TREE", "SCAN ", "filesort", "temporary", "\"ALL\"", "\"index\""] {
                assert!(!said.contains(slow), "{slow}: {about}");
            }
            let counts = text.contains("count(*)");
            if counts {
                let covered = ["COVERING INDEX", "Using index"].iter().any(|word| said.contains(word));
                assert!(covered, "rows are read to be counted: {about}");
            }
            match db.kind() {
                DatabaseKind::Sqlite if !counts => {
                    assert_eq!(index_of(rows[0].clone()).as_deref(), Some(listed.index), "{about}");
                }
                DatabaseKind::MySql if !counts => looks_at_few_rows(&db, statement, &about).await,
                DatabaseKind::Sqlite | DatabaseKind::MySql => {}
            }
        }
    }
}

#[tokio::test]
async fn the_length_of_a_list_has_every_change_of_its_own_server_at_once() {
    for database in TestDatabase::every().await {
        let store = database.store().await;
        let of_plan = plan(1, 1);
        store.insert_plan(&of_plan, at(NOW)).await.unwrap();
        let page = || Part::Page(Page { number: 1, size: 2 });
        for testee in 1..=5 {
            store.enrol(&[task(testee, &of_plan, testee, 1)], at(NOW)).await.unwrap();
            let count = || async {
                let found = store.tasks(1, TaskFilter::default(), page()).await.unwrap();
                assert_eq!(found.next.is_some(), testee > 2, "{}", database.name);
                found.total
            };
            let counts = tokio::join!(count(), count(), count(), count());
            let all = Some(u64::try_from(testee).unwrap());
            assert_eq!(counts, (all, all, all, all), "{}", database.name);
        }
        database
            .connect()
            .await
            .execute(sql("update assessment_task set deleted_at = created_at where id = 1"))
            .await
            .unwrap();
        until("what another program changed is counted", async || {
            (store.tasks(1, TaskFilter::default(), page()).await.unwrap().total == Some(4)).then_some(())
        })
        .await;
        assert_eq!(store.tasks(2, TaskFilter::default(), page()).await.unwrap().total, Some(0));
    }
}

#[tokio::test]
async fn a_scale_is_the_one_that_was_named() {
    for database in TestDatabase::every().await {
        let store = database.store().await;
        for (id, code) in (1_i64..).zip(["PHQ9", "phq9", "Phq9", "café", "cafe"]) {
            let plan = AssessmentPlan { scale_code: code.to_owned(), ..plan(id, 1) };
            store.insert_plan(&plan, at(NOW)).await.unwrap();
        }
        for (code, ids) in [
            ("PHQ9", vec![1]),
            ("phq9", vec![2]),
            ("PHQ9 ", vec![]),
            ("pHQ9", vec![]),
            ("café", vec![4]),
            ("cafe\u{301}", vec![]),
            ("CAFE", vec![]),
        ] {
            let filter = PlanFilter { scale_code: Some(code.to_owned()), ..PlanFilter::default() };
            let part = Part::Page(Page { number: 1, size: 20 });
            let found = store.plans(1, &filter, part).await.unwrap();
            let found_ids: Vec<i64> = found.items.iter().map(|plan| plan.id).collect();
            assert_eq!(
                (found_ids, found.total),
                (ids.clone(), Some(ids.len() as u64)),
                "{}: {code:?}",
                database.name
            );
        }
    }
}

/// An account of a server that has a plan of 120 tasks.
struct Client {
    server: Server,
    bearer: String,
    plan: String,
}

impl Client {
    async fn start(env: &[(&str, &str)]) -> Self {
        let server = Server::start(&[&ACCOUNT[..], env].concat());
        let token = server.token().await;
        let body = json!({"scale_code": "PHQ9", "schedule_type": "by_day", "interval": 1, "total_times": 40});
        let plan = server.post(&token, "/api/v1/plans", &body.to_string()).await;
        let plan = plan.data()["id"].as_str().unwrap().to_owned();
        for testee in 1..=3 {
            let body = json!({"plan_id": plan, "testee_id": testee, "start_date": "2026-01-01"}).to_string();
            assert_eq!(server.post(&token, "/api/v1/plans/enroll", &body).await.status, 200);
        }
        Self { server, bearer: format!("Bearer {token}"), plan }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let headers = [("authorization", self.bearer.as_str())];
        let reply = self.server.send(Method::GET, &format!("/api/v1/{path}"), &headers, "").await;
        let data = if reply.status.is_success() { reply.data() } else { &reply.body["message"] };
        (reply.status.as_u16(), data.clone())
    }
}

fn ids(page: &Value) -> Vec<String> {
    let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn clients_go_from_page_to_page_by_number_or_after_the_last_item() {
    let mut servers = vec![Client::start(&[]).await];
    if let Some(database) = &TestDatabase::mysql().await
        && let Some(redis) = crate::support::services::PrivateRedis::start("lists on redis")
    {
        let redis = redis.url();
        let env = [("QS_DATABASE__URL", database.url.as_str()), ("QS_REDIS__URL", redis.as_str())];
        servers.push(Client::start(&env).await);
        walk_lists(&servers).await;
        return;
    }
    walk_lists(&servers).await;
}

async fn walk_lists(clients: &[Client]) {
    for client in clients {
        let lists =
            ["plans/tasks".to_owned(), format!("plans/{}/tasks", client.plan), "testees/2/tasks".to_owned()];
        for list in lists {
            let all = if list.starts_with("testees") { 40 } else { 120 };
            let (mut by_number, mut by_cursor) = (Vec::new(), Vec::new());
            for page in 1.. {
                let (status, found) = client.get(&format!("{list}?page={page}&page_size=50")).await;
                assert_eq!((status, &found["total_count"], &found["page"]), (200, &json!(all), &json!(page)));
                by_number.extend(ids(&found));
                if found.get("next").is_none() {
                    break;
                }
            }
            let mut after = String::new();
            loop {
                let (status, found) = client.get(&format!("{list}?page_size=50&after={after}")).await;
                assert_eq!((status, &found["page_size"]), (200, &json!(50)), "{found}");
                assert!(found.get("total_count").is_none() && found.get("page").is_none(), "{found}");
                by_cursor.extend(ids(&found));
                let Some(next) = found.get("next") else { break };
                next.as_str().unwrap().clone_into(&mut after);
            }
            assert_eq!((by_number.len(), &by_number), (all, &by_cursor), "{list}");
        }
        let (_, first) = client.get("plans/tasks?page_size=1").await;
        let next = first["next"].as_str().unwrap();
        let of_plans = format!("plans?after={next}");
        let both = format!("plans/tasks?page=2&after={next}");
        for (path, field, word) in [
            ("plans/tasks?page=10000&page_size=1", "page:", "200"),
            ("plans/tasks?page=101&page_size=100", "page:", "`after`"),
            ("plans/tasks?page=2147483647", "page:", "`after`"),
            ("plans/tasks?after=x", "after:", "`next`"),
            (&of_plans, "after:", "`next`"),
            (&both, "after:", "`page`"),
            ("statistics/runs?after=x", "after:", "`next`"),
        ] {
            let (status, message) = client.get(path).await;
            if word == "200" {
                assert_eq!(status, 200, "{path}: {message}");
            } else {
                let message = message.as_str().unwrap();
                assert!(
                    status == 400 && message.starts_with(field) && message.contains(word),
                    "{path}: {message}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_records_of_syncs_go_on_after_the_last_one() {
    let client = Client::start(&[]).await;
    let token = client.bearer.trim_start_matches("Bearer ").to_owned();
    let mut started = Vec::new();
    for _ in 0..5 {
        let reply = client.server.post(&token, "/api/v1/statistics/sync/plan", "").await;
        started.push(reply.data()["run_id"].clone());
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let (status, found) = client.get(&format!("statistics/runs?limit=2&after={after}")).await;
        assert_eq!(status, 200, "{found}");
        seen.extend(found["items"].as_array().unwrap().iter().map(|item| item["run_id"].clone()));
        let Some(next) = found.get("next") else { break };
        next.as_str().unwrap().clone_into(&mut after);
    }
    started.reverse();
    assert_eq!(seen, started);
}
