//! Databases that an earlier version of this program made, or the system that it replaces.

use jiff::tz::TimeZone;
use qs_scheduler::domain::plan_task::{PlanTask, TaskStatus};
use qs_scheduler::domain::statistics::{DayRange, StatisticType, Subject};
use qs_scheduler::sql::{Columns, Db, Migrations, SchemaChange, sql};
use qs_scheduler::store::business::plans::Moved;
use qs_scheduler::store::business::sql::SqlStore;

use crate::plans::{at, plan, task};
use crate::support::databases::TestDatabase;

const NOW: &str = "2026-11-21T08:00:00Z";

macro_rules! step {
    ($name:literal, $file:literal) => {
        SchemaChange {
            name: $name,
            sqlite: include_str!(concat!("../../src/store/business/sql/migrations/sqlite/", $file)),
            mysql: include_str!(concat!("../../src/store/business/sql/migrations/mysql/", $file)),
        }
    };
}

/// The schema of the first version.
static FIRST: Migrations = Migrations {
    history: "qs_store_migrations",
    steps: &[
        step!("statistics", "0001_statistics.sql"),
        step!("plan", "0002_plan.sql"),
        step!("sync_run", "0003_sync_run.sql"),
    ],
};

async fn execute(db: &Db, text: &str) {
    db.execute(sql(text)).await.unwrap_or_else(|error| panic!("{error}: {text}"));
}

/// The unique indexes of the tasks, by their columns.
async fn unique(db: &Db) -> Vec<String> {
    let text = match db {
        Db::Sqlite(_) => {
            "select (select group_concat(name) from pragma_index_info(l.name)) from pragma_index_list('assessment_task') l \
             where l.\"unique\" = 1 order by 1"
        }
        Db::MySql(_) => {
            "select cast(group_concat(column_name order by seq_in_index) as char) from information_schema.statistics \
             where table_schema = database() and table_name = 'assessment_task' and non_unique = 0 \
             and index_name <> 'PRIMARY' group by index_name order by 1"
        }
    };
    db.read_all(sql(text), Columns::text).await.unwrap()
}

/// Two organisations number their assessments by themselves; in one of them a number is given once.
async fn an_assessment_is_unique_in_its_organisation(database: &TestDatabase, first_id: i64) {
    let store = database.store().await;
    let mut taken = Vec::new();
    for (org_id, id) in (1_i64..).zip([first_id, first_id + 10]) {
        let of_plan = plan(id, org_id);
        store.insert_plan(&of_plan, at(NOW)).await.unwrap();
        store.enrol(&[task(id, &of_plan, 8, 1), task(id + 1, &of_plan, 8, 2)], at(NOW)).await.unwrap();
        for id in [id, id + 1] {
            let assessment_id = Some(5_000 + first_id);
            let done = PlanTask { status: TaskStatus::Completed, assessment_id, ..task(id, &of_plan, 8, 1) };
            taken.push(store.move_task(TaskStatus::Pending, &done, at(NOW)).await.unwrap());
        }
    }
    let once = [Moved::Done, Moved::AssessmentTaken, Moved::Done, Moved::AssessmentTaken];
    assert_eq!(taken, once, "{}", database.name);
}

#[tokio::test]
async fn an_assessment_belongs_to_one_task_of_an_organisation() {
    for database in TestDatabase::every().await {
        an_assessment_is_unique_in_its_organisation(&database, 1).await;
        assert_eq!(unique(&database.connect().await).await, ["org_id,assessment_id"], "{}", database.name);
    }
}

const TASKS: &str = "insert into assessment_task (id, plan_id, seq, org_id, testee_id, scale_code, planned_at, status, \
                     assessment_id, entry_token, created_at, updated_at) values \
                     (101, 1, 1, 1, 7, 'PHQ9', '2026-01-02 00:00:00.000', 'completed', 77, 'a', \
                     '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000'), \
                     (102, 1, 2, 1, 7, 'PHQ9', '2026-01-03 00:00:00.000', 'pending', null, 'b', \
                     '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000')";

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_tasks_and_lets_organisations_be() {
    for database in TestDatabase::every().await {
        let db = database.connect().await;
        FIRST.run(&db).await.unwrap();
        execute(&db, TASKS).await;
        assert_eq!(unique(&db).await, ["assessment_id"], "{}: what is mended", database.name);
        let store = database.store().await;
        let kept = store.find_task(1, 101).await.unwrap().unwrap();
        assert_eq!((kept.assessment_id, kept.entry_token.as_deref()), (Some(77), Some("a")));
        assert_eq!(kept.planned_at, at("2026-01-02T00:00:00Z"));
        assert!(store.find_task(1, 102).await.unwrap().is_some());
        an_assessment_is_unique_in_its_organisation(&database, 1).await;
        assert_eq!(unique(&db).await, ["org_id,assessment_id"], "{}", database.name);
        SqlStore::migrate(&db).await.unwrap();
    }
}

/// The tables of the system that this replaces, with what differs: its unique index.
async fn replaced_system(db: &Db, unique: &str) {
    execute(
        db,
        &format!(
            "create table assessment_task (id bigint unsigned not null primary key, plan_id bigint unsigned not null, \
             seq int not null, org_id bigint not null, testee_id bigint unsigned not null, \
             scale_code varchar(100) not null, planned_at datetime(3) not null, open_at datetime(3) null, \
             expire_at datetime(3) null, completed_at datetime(3) null, status varchar(50) not null default 'pending', \
             assessment_id bigint unsigned null, entry_token varchar(255) null, entry_url varchar(500) null, \
             created_at datetime(3) not null, updated_at datetime(3) not null, deleted_at datetime(3) null, \
             created_by bigint unsigned not null default 0, updated_by bigint unsigned not null default 0, \
             deleted_by bigint unsigned not null default 0, version int unsigned not null default 1, \
             key idx_plan (plan_id){unique}) default charset = utf8mb4"
        ),
    )
    .await;
}

#[tokio::test]
async fn tables_of_the_replaced_system_get_the_indexes_that_they_lack() {
    for (unique_before, left) in [
        (", unique key uni_assessment_task_assessment_id (assessment_id)", vec!["org_id,assessment_id"]),
        (
            ", unique key theirs (org_id, assessment_id), unique key uk_assessment (assessment_id)",
            vec!["org_id,assessment_id"],
        ),
        ("", vec!["org_id,assessment_id"]),
    ] {
        let Some(database) = TestDatabase::mysql().await else { return };
        let db = database.connect().await;
        replaced_system(&db, unique_before).await;
        execute(&db, TASKS).await;
        // Processes that start together take turns.
        let (one, other) = (database.connect().await, database.connect().await);
        let (one, other) = tokio::join!(SqlStore::migrate(&one), SqlStore::migrate(&other));
        one.unwrap();
        other.unwrap();
        assert_eq!(unique(&db).await, left, "{unique_before}");
        an_assessment_is_unique_in_its_organisation(&database, 1).await;
        let lists = sql(
            "select cast(count(distinct index_name) as signed) from information_schema.statistics where \
                         table_schema = database() and table_name = 'assessment_task' and index_name like 'idx\\_assessment%'",
        );
        assert_eq!(db.read_one(lists, Columns::int).await.unwrap(), Some(7), "{unique_before}");
    }
}

#[tokio::test]
async fn rows_that_break_the_rule_are_served_and_the_rule_comes_when_they_are_corrected() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let db = database.connect().await;
    replaced_system(&db, "").await;
    execute(&db, TASKS).await;
    execute(&db, "update assessment_task set assessment_id = 77").await;
    SqlStore::migrate(&db).await.unwrap();
    SqlStore::open(db.clone(), TimeZone::UTC).await.unwrap();
    assert!(unique(&db).await.is_empty());
    execute(&db, "update assessment_task set assessment_id = 78 where id = 102").await;
    SqlStore::migrate(&db).await.unwrap();
    assert_eq!(unique(&db).await, ["org_id,assessment_id"]);
}

/// Columns that were there before may overlook case and accents; who asks gets what was named.
#[tokio::test]
async fn a_key_of_statistics_is_the_one_that_was_named() {
    for database in TestDatabase::every().await {
        let db = database.connect().await;
        let store = database.store().await;
        if matches!(db, Db::MySql(_)) {
            for table in ["statistics_daily", "statistics_accumulated"] {
                let loose = "modify statistic_key varchar(255) character set utf8mb4 collate utf8mb4_general_ci not null";
                execute(&db, &format!("alter table {table} {loose}")).await;
            }
        }
        let stamps = "'2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000'";
        execute(
            &db,
            &format!(
                "insert into statistics_daily (org_id, statistic_type, statistic_key, stat_date, created_at, \
             updated_at) values (1, 'questionnaire', 'Café', '2026-01-02', {stamps})"
            ),
        )
        .await;
        execute(
            &db,
            &format!(
                "insert into statistics_accumulated (org_id, statistic_type, statistic_key, created_at, \
             updated_at) values (1, 'questionnaire', 'Café', {stamps})"
            ),
        )
        .await;
        for (key, found) in [("Café", 1), ("café", 0), ("Cafe", 0), ("Café ", 0)] {
            let subject = Subject { statistic: StatisticType::Questionnaire, key: key.to_owned() };
            let day = "2026-01-02".parse().unwrap();
            let days = DayRange { start: day, end: day };
            let by_day = store.accumulated_by_day(1, &subject, days).await.unwrap();
            let days = by_day.map_or(0, |(_, days)| days.len());
            let totals = store.accumulated_of(1, std::slice::from_ref(&subject)).await.unwrap();
            let key = qs_scheduler::domain::statistics::DailyKey { subject, date: day };
            let rows = store.daily_of(1, std::slice::from_ref(&key)).await.unwrap();
            assert_eq!([days, totals.len(), rows.len()], [found; 3], "{}: {key:?}", database.name);
        }
    }
}
