//! The defects of the statistics of the system that this replaces (S1 to S5), each as a test that it would fail.

use jiff::SignedDuration;
use jiff::civil::Date;
use qs_scheduler::business::statistics::EventInput;
use qs_scheduler::domain::statistics::EventType;
use qs_scheduler::domain::sync_run::SyncStatus;
use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::apiserver::{ACCOUNT, Reply, Server};
use crate::support::business::{Business, Job};
use crate::support::databases::TestDatabase;
use crate::support::services::PrivateRedis;

/// The tables of its migrations 3 and 5: those of the statistics have no audit columns yet.
const EARLY_TABLES: [&str; 5] = [
    "create table statistics_daily (id bigint unsigned auto_increment primary key, org_id bigint not null, \
     statistic_type varchar(50) not null, statistic_key varchar(255) not null, stat_date date not null, \
     submission_count bigint not null default 0, completion_count bigint not null default 0, extra_metrics json, \
     created_at datetime(3) not null default current_timestamp(3), \
     updated_at datetime(3) not null default current_timestamp(3) on update current_timestamp(3), \
     unique key uk_daily (org_id, statistic_type, statistic_key, stat_date), \
     key idx_org_date (org_id, stat_date), key idx_type_key (statistic_type, statistic_key)) default charset = utf8mb4",
    "create table statistics_accumulated (id bigint unsigned auto_increment primary key, org_id bigint not null, \
     statistic_type varchar(50) not null, statistic_key varchar(255) not null, \
     total_submissions bigint not null default 0, total_completions bigint not null default 0, \
     last7d_submissions bigint not null default 0, last15d_submissions bigint not null default 0, \
     last30d_submissions bigint not null default 0, distribution json, first_occurred_at datetime(3), \
     last_occurred_at datetime(3), last_updated_at datetime(3) not null, \
     unique key uk_accumulated (org_id, statistic_type, statistic_key)) default charset = utf8mb4",
    "create table statistics_plan (id bigint unsigned auto_increment primary key, org_id bigint not null, \
     plan_id bigint unsigned not null, total_tasks bigint not null default 0, completed_tasks bigint not null default 0, \
     pending_tasks bigint not null default 0, expired_tasks bigint not null default 0, \
     enrolled_testees bigint not null default 0, active_testees bigint not null default 0, \
     last_updated_at datetime(3) not null, unique key uk_plan (org_id, plan_id)) default charset = utf8mb4",
    "create table assessment_plan (id bigint unsigned not null primary key, org_id bigint not null, \
     scale_code varchar(100) not null, schedule_type varchar(50) not null, `interval` int not null default 0, \
     total_times int not null, fixed_dates json, relative_weeks json, status varchar(50) not null default 'active', \
     created_at datetime(3) not null, updated_at datetime(3) not null, deleted_at datetime(3) null, \
     created_by bigint unsigned not null default 0, updated_by bigint unsigned not null default 0, \
     deleted_by bigint unsigned not null default 0, version int unsigned not null default 1, \
     key idx_org (org_id), key idx_status (status)) default charset = utf8mb4",
    "create table assessment_task (id bigint unsigned not null primary key, plan_id bigint unsigned not null, \
     seq int not null, org_id bigint not null, testee_id bigint unsigned not null, scale_code varchar(100) not null, \
     planned_at datetime(3) not null, open_at datetime(3) null, expire_at datetime(3) null, \
     completed_at datetime(3) null, status varchar(50) not null default 'pending', \
     assessment_id bigint unsigned null unique, entry_token varchar(255) null, entry_url varchar(500) null, \
     created_at datetime(3) not null, updated_at datetime(3) not null, deleted_at datetime(3) null, \
     created_by bigint unsigned not null default 0, updated_by bigint unsigned not null default 0, \
     deleted_by bigint unsigned not null default 0, version int unsigned not null default 1, \
     key idx_plan (plan_id), key idx_plan_seq (plan_id, seq)) default charset = utf8mb4",
];

async fn execute(db: &Db, text: &str) {
    db.execute(sql(text)).await.unwrap_or_else(|error| panic!("{error}: {text}"));
}

/// The cells of the only row, as text.
async fn row(db: &Db, text: &str, cells: usize) -> Vec<String> {
    let mut rows = db.fetch_all(sql(text)).await.unwrap();
    assert_eq!(rows.len(), 1, "{text}");
    let mut columns = rows.remove(0).columns();
    (0..cells).map(|_| columns.text().unwrap()).collect()
}

async fn int(db: &Db, text: &str) -> i64 {
    db.fetch_optional(sql(text)).await.unwrap().unwrap().columns().int().unwrap()
}

/// A server, and a token of an admin of the first organisation.
struct Admin {
    server: Server,
    bearer: String,
}

impl Admin {
    async fn start(env: &[(&str, &str)]) -> Self {
        let server = Server::start(&[&ACCOUNT[..], env].concat());
        let bearer = format!("Bearer {}", server.token().await);
        Self { server, bearer }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/api/v1/statistics/{path}");
        self.server.send(method, &path, &[("authorization", &self.bearer)], &body).await
    }

    async fn done(&self, path: &str) -> Value {
        let reply = self.send(Method::POST, path, &Value::Null).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, 200), "{path}: {reply:?}");
        reply.data().clone()
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.send(Method::GET, path, &Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {reply:?}");
        reply.data().clone()
    }
}

#[tokio::test]
async fn an_existing_database_is_served_also_without_audit_columns() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let Some(redis) = PrivateRedis::start("S1 on redis") else { return };
    let db = database.connect().await;
    for table in EARLY_TABLES {
        execute(&db, table).await;
    }
    execute(&db, "insert into statistics_daily (org_id, statistic_type, statistic_key, stat_date, submission_count, \
                  completion_count, extra_metrics, created_at, updated_at) values \
                  (1, 'questionnaire', 'old', '2025-12-31', 7, 3, '{\"risk_distribution\":{},\"origin_distribution\":{}}', \
                  '2026-01-01 00:05:00.123', '2026-01-01 00:05:00.123')").await;
    execute(&db, "insert into statistics_accumulated (org_id, statistic_type, statistic_key, total_submissions, \
                  last7d_submissions, distribution, last_updated_at) values \
                  (1, 'questionnaire', 'old', 6, 6, '{\"risk\":{},\"origin\":{},\"status\":{}}', '2026-01-01 01:05:00')").await;
    execute(
        &db,
        "insert into statistics_plan (org_id, plan_id, total_tasks, pending_tasks, last_updated_at) \
                  values (1, 18446744073709551, 9, 9, '2026-01-01 01:10:00')",
    )
    .await;
    execute(&db, "insert into assessment_plan (id, org_id, scale_code, schedule_type, total_times, created_at, updated_at) \
                  values (18446744073709551, 1, 'PHQ', 'by_week', 4, '2025-12-01 08:00:00', '2025-12-01 08:00:00'), \
                  (5, 2, 'GAD', 'by_day', 1, '2025-12-01 08:00:00', '2025-12-01 08:00:00')").await;
    execute(
        &db,
        "insert into assessment_task (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, status, \
                  created_at, updated_at, deleted_at) values \
                  (1, 18446744073709551, 1, 1, 11, 'PHQ', '2025-12-08', 'completed', now(3), now(3), null), \
                  (2, 18446744073709551, 2, 1, 11, 'PHQ', '2025-12-15', 'expired', now(3), now(3), null), \
                  (3, 18446744073709551, 1, 1, 12, 'PHQ', '2025-12-08', 'opened', now(3), now(3), null), \
                  (4, 18446744073709551, 2, 1, 12, 'PHQ', '2025-12-15', 'canceled', now(3), now(3), null), \
                  (5, 18446744073709551, 3, 1, 13, 'PHQ', '2025-12-22', 'pending', now(3), now(3), now(3))",
    )
    .await;
    let hash = "stats:daily:1:questionnaire:old:2025-12-31";
    redis.run::<()>(&["HSET", hash, "submission_count", "7", "completion_count", "3"]);

    let (url, redis_url) = (database.url.clone(), redis.url());
    let zone = "Asia/Shanghai";
    let env =
        [("QS_DATABASE__URL", url.as_str()), ("QS_REDIS__URL", &redis_url), ("QS_SERVER__TIMEZONE", zone)];
    let admin = Admin::start(&env).await;
    let event = json!({"event_id": "e", "type": "submitted", "questionnaire_code": "new",
                       "occurred_at": "2026-03-01T16:30:00Z"});
    let counted = admin.send(Method::POST, "events", &event).await;
    assert_eq!(counted.data()["date"], "2026-03-02", "half past midnight in {zone}");
    let window = "sync/daily?start_date=2025-01-01&end_date=2026-12-31";
    let synced = admin.done(window).await;
    assert_eq!((&synced["scanned"], &synced["failed"]), (&json!(2), &json!(0)), "{synced}");
    assert_eq!(admin.done(window).await["unchanged"], 2);
    admin.done("sync/daily").await;
    admin.done("sync/accumulated").await;
    let plans = admin.done("sync/plan").await;
    assert_eq!(plans["scanned"], 1, "that of this organisation");

    // What was there still says what it said: also when it was made.
    let select = "select cast(submission_count as char), cast(completion_count as char), cast(created_at as char) \
                  from statistics_daily where statistic_key = 'old'";
    assert_eq!(row(&db, select, 3).await, ["7", "3", "2026-01-01 00:05:00.123"]);
    let select = "select cast(stat_date as char), cast(submission_count as char), \
                  cast(abs(timestampdiff(second, updated_at, utc_timestamp(3) + interval 8 hour)) < 120 as char) \
                  from statistics_daily where statistic_key = 'new'";
    assert_eq!(row(&db, select, 3).await, ["2026-03-02", "1", "1"], "the wall clock of {zone} is written");
    let select = "select cast(total_submissions as char), cast(total_completions as char), \
                  cast(last7d_submissions as char), cast(first_occurred_at as char) from statistics_accumulated \
                  where statistic_key = 'old'";
    assert_eq!(
        row(&db, select, 4).await,
        ["7", "3", "0", "2025-12-31 00:00:00.000"],
        "S5: the window is over"
    );
    let plan = admin.get("plans/18446744073709551").await;
    for (name, expected) in [
        ("total_tasks", 4),
        ("completed_tasks", 1),
        ("pending_tasks", 1),
        ("expired_tasks", 1),
        ("enrolled_testees", 2),
        ("active_testees", 1),
    ] {
        assert_eq!(plan[name], expected, "{name} in {plan}");
    }
    // A wall clock of another zone would make these changes look later than the syncs that carried them.
    let report = admin.done("validate").await;
    assert_eq!((&report["failed"], &report["skipped"]), (&json!(0), &json!(0)), "{report}");
    drop(admin);
    let again = Admin::start(&env).await;
    assert_eq!(again.done(window).await["unchanged"], 2, "it is served again");
    db.close().await;
}

#[tokio::test]
async fn events_reach_the_tables_that_are_read() {
    let admin = Admin::start(&[]).await;
    for (id, kind, more) in [
        ("1", "submitted", json!({"origin": "adhoc"})),
        ("2", "submitted", json!({"origin": "plan"})),
        ("3", "interpreted", json!({"risk_level": "high"})),
    ] {
        let mut event = json!({"event_id": id, "type": kind, "questionnaire_code": "Q", "testee_id": 42});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(admin.send(Method::POST, "events", &event).await.data()["counted"], true);
    }
    admin.done("sync/daily").await;
    admin.done("sync/accumulated").await;
    let questionnaire = admin.get("questionnaires/Q").await;
    let shown =
        ["total_submissions", "total_completions", "last_7_days_count"].map(|name| &questionnaire[name]);
    assert_eq!(shown, [&json!(2), &json!(1), &json!(2)], "{questionnaire}");
    assert_eq!(questionnaire["origin_distribution"], json!({"adhoc": 1, "plan": 1}));
    assert_eq!(questionnaire["risk_distribution"], json!({"high": 1}));
    let testee = admin.get("testees/42").await;
    assert_eq!((&testee["total_assessments"], &testee["completed_assessments"]), (&json!(2), &json!(1)));
}

async fn counted(business: &Business, org_id: i64, id: &str, code: &str, days_ago: i64) {
    let input = EventInput {
        event_id: id.to_owned(),
        event_type: EventType::Submitted,
        questionnaire_code: Some(code.to_owned()),
        testee_id: None,
        plan_id: None,
        origin: Some("adhoc".to_owned()),
        risk_level: None,
        occurred_at: Some(business.now() - SignedDuration::from_hours(24 * days_ago)),
    };
    let counted = business.statistics.count(org_id, vec![input]).await.pop().unwrap();
    assert!(counted.unwrap().counted);
}

/// A plan with one person and these tasks, changed now.
async fn plan(business: &Business, states: &[&str]) {
    let wall = business.wall();
    execute(&business.db, "delete from assessment_plan").await;
    execute(&business.db, "delete from assessment_task").await;
    let query =
        sql("insert into assessment_plan (id, org_id, scale_code, schedule_type, total_times, created_at, \
                     updated_at) values (3, 1, 's', 'custom', 1, ?, ?)");
    business.db.execute(query.bind(&wall).bind(&wall)).await.unwrap();
    for (number, state) in (1_i64..).zip(states) {
        let query =
            sql("insert into assessment_task (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, \
                         status, created_at, updated_at) values (?, 3, ?, 1, 9, 's', ?, ?, ?, ?)");
        let query = query.bind(number).bind(number).bind(&wall).bind(*state).bind(&wall).bind(&wall);
        business.db.execute(query).await.unwrap();
    }
}

/// All three tables of the first organisation are what they should be.
async fn synced(business: &Business) {
    for job in [Job::Daily, Job::Accumulated, Job::Plan, Job::Report] {
        business.done(1, job).await;
    }
}

#[tokio::test]
async fn every_metric_is_compared_and_repaired_once() {
    let database = TestDatabase::sqlite();
    let business = Business::embedded(&database).await;
    counted(&business, 1, "1", "a:b", 0).await;
    counted(&business, 1, "2", "a:b", 10).await;
    plan(&business, &["completed", "pending", "expired", "opened"]).await;
    synced(&business).await;
    let daily = ["submission_count", "completion_count"];
    let accumulated = [
        "total_submissions",
        "total_completions",
        "last7d_submissions",
        "last15d_submissions",
        "last30d_submissions",
    ];
    let plans = [
        "total_tasks",
        "completed_tasks",
        "pending_tasks",
        "expired_tasks",
        "enrolled_testees",
        "active_testees",
    ];
    let mut broken: Vec<(&str, String)> = Vec::new();
    let number = |column: &&str| format!("{column} = {column} + 1");
    broken.extend(daily.iter().map(|column| ("statistics_daily", number(column))));
    broken.push(("statistics_daily", "extra_metrics = null".to_owned()));
    broken.extend(accumulated.iter().map(|column| ("statistics_accumulated", number(column))));
    broken.push(("statistics_accumulated", "distribution = null".to_owned()));
    broken.push(("statistics_accumulated", "first_occurred_at = '2020-01-01 00:00:00.000'".to_owned()));
    broken.push(("statistics_accumulated", "last_occurred_at = '2030-01-01 00:00:00.000'".to_owned()));
    broken.extend(plans.iter().map(|column| ("statistics_plan", number(column))));
    // Far from the last sync: what it would carry anyway is no difference.
    business.clock.advance(SignedDuration::from_hours(24 * 20));
    synced(&business).await;
    for (table, change) in broken {
        execute(
            &business.db,
            &format!("update {table} set {change} where id = (select min(id) from {table})"),
        )
        .await;
        healed(&business, table, &change).await;
    }
    for table in ["statistics_daily", "statistics_accumulated", "statistics_plan"] {
        execute(&business.db, &format!("delete from {table} where id = (select min(id) from {table})")).await;
        healed(&business, table, "no row").await;
    }
}

#[tokio::test]
async fn a_task_that_is_deleted_is_no_difference() {
    let database = TestDatabase::sqlite();
    let business = Business::embedded(&database).await;
    plan(&business, &["completed", "pending"]).await;
    synced(&business).await;
    business.clock.advance(SignedDuration::from_hours(1));
    // As an ORM does it: without another word than when.
    let query = sql("update assessment_task set deleted_at = ? where id = 2").bind(business.wall());
    business.db.execute(query).await.unwrap();
    let report = business.done(1, Job::Report).await;
    assert_eq!(report.progress.skipped, 1, "the next sync carries it: {report:?}");
    synced(&business).await;
    let counts = business.statistics.plan(1, 3).await.unwrap().unwrap();
    assert_eq!((counts.total_tasks, counts.pending_tasks, counts.enrolled_testees), (1, 0, 1));
}

/// One table is listed, repaired once, and stays as it is when the syncs run again.
async fn healed(business: &Business, table: &str, change: &str) {
    let report = business.run(1, Job::Report).await;
    assert_eq!(report.status, SyncStatus::Failed, "{table} {change}");
    assert!(report.progress.failed >= 1, "{report:?}");
    let of_table = |item: &str| item.starts_with(table) || table == "statistics_daily";
    assert!(report.progress.errors.iter().all(|error| of_table(&error.item)), "{change}: {report:?}");
    let repair = business.done(1, Job::Repair).await;
    assert!(repair.progress.written >= 1, "{table} {change}: {repair:?}");
    for job in [Job::Report, Job::Daily, Job::Accumulated, Job::Plan, Job::Report, Job::Repair] {
        let run = business.done(1, job).await;
        assert_eq!(run.progress.written, 0, "{table} {change}, then {job:?}: {run:?}");
    }
}

#[tokio::test]
async fn windows_are_windows_and_keys_may_hold_anything() {
    let database = TestDatabase::sqlite();
    let business = Business::embedded(&database).await;
    let code = "a:2026-01-01:*?[x]";
    for org_id in [1, 42] {
        counted(&business, org_id, "1", code, 0).await;
    }
    counted(&business, 42, "2", code, 3).await;
    let mut seen = Vec::new();
    for _ in 0..=30 {
        for org_id in [1, 42] {
            business.done(org_id, Job::Daily).await;
            business.done(org_id, Job::Accumulated).await;
            let found = business.statistics.questionnaire(org_id, code).await.unwrap().unwrap();
            seen.push((org_id, found.total.total_submissions, found.total.last_days));
        }
        business.clock.advance(SignedDuration::from_hours(24));
    }
    for (index, (org_id, total, windows)) in seen.into_iter().enumerate() {
        let age = index / 2;
        let ages = if org_id == 1 { vec![age] } else { vec![age, age + 3] };
        let inside = |days: usize| i64::try_from(ages.iter().filter(|age| **age < days).count()).unwrap();
        let expected = (i64::try_from(ages.len()).unwrap(), [inside(7), inside(15), inside(30)]);
        assert_eq!((total, windows), expected, "organisation {org_id} after {age} days");
    }
}

#[tokio::test]
async fn an_admin_syncs_every_organisation() {
    let Some(redis) = PrivateRedis::start("S4 on redis") else { return };
    let today: Date = crate::faults::today();
    // As existing workers write them, for organisations that nobody has told us of.
    for (org_id, submissions) in [(1, "3"), (2, "5"), (77, "7")] {
        let name = format!("stats:daily:{org_id}:questionnaire:a:b:{today}");
        redis.run::<()>(&["HSET", &name, "submission_count", submissions]);
    }
    let redis_url = redis.url();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/t.db", dir.path().display());
    let admin = Admin::start(&[("QS_REDIS__URL", &redis_url), ("QS_DATABASE__URL", &url)]).await;
    let one = admin.done("sync/daily?org=2").await;
    assert_eq!((&one["org_id"], &one["written"]), (&json!(2), &json!(1)));
    let all = admin.done("sync/daily?org=all").await;
    assert_eq!((&all["org_id"], &all["written"], &all["unchanged"]), (&Value::Null, &json!(2), &json!(1)));
    let organisations = all["detail"]["organisations"].as_array().unwrap();
    let numbers: Vec<i64> = organisations.iter().map(|one| one["org_id"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 77]);
    admin.done("sync/accumulated?org=all").await;
    let report = admin.done("validate?org=all").await;
    assert_eq!(report["failed"], 0);
    let db = Db::connect(&Address::Url(Secret::new(&url)), 1).await.unwrap();
    let query = "select count(*) from statistics_accumulated where statistic_key = 'a:b' \
                 and (org_id, total_submissions, last7d_submissions) in (values (1, 3, 3), (2, 5, 5), (77, 7, 7))";
    assert_eq!(int(&db, query).await, 3);
    db.close().await;
}

#[tokio::test]
async fn counts_return_to_zero() {
    let database = TestDatabase::sqlite();
    let business = Business::embedded(&database).await;
    counted(&business, 1, "1", "a", 0).await;
    plan(&business, &["pending", "opened", "expired"]).await;
    synced(&business).await;
    let before = business.statistics.questionnaire(1, "a").await.unwrap().unwrap();
    assert_eq!(before.total.last_days, [1, 1, 1]);
    assert_eq!(business.statistics.plan(1, 3).await.unwrap().unwrap().pending_tasks, 2);

    business.clock.advance(SignedDuration::from_hours(24 * 31));
    plan(&business, &["completed", "completed", "completed"]).await;
    synced(&business).await;
    let after = business.statistics.questionnaire(1, "a").await.unwrap().unwrap();
    assert_eq!((after.total.total_submissions, after.total.last_days), (1, [0, 0, 0]));
    let counts = business.statistics.plan(1, 3).await.unwrap().unwrap();
    assert_eq!((counts.total_tasks, counts.pending_tasks, counts.expired_tasks), (3, 0, 0));
    plan(&business, &[]).await;
    synced(&business).await;
    let counts = business.statistics.plan(1, 3).await.unwrap().unwrap();
    assert_eq!((counts.total_tasks, counts.completed_tasks, counts.active_testees), (0, 0, 0));
}
