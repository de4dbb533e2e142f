//! The connections to a database server: what is sent on them beside the statements, and who gets one.

use std::time::Duration;

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Columns, Db, sql};

use crate::support::databases::TestDatabase;
use crate::support::mariadb::PrivateMariaDb;

async fn two_connections(database: &TestDatabase) -> Db {
    Db::connect(&Address::Url(Secret::new(&database.url)), 2).await.unwrap()
}

/// A question to the server before and after each statement costs more than the statements do.
#[tokio::test]
async fn a_connection_is_asked_once_a_second_whether_it_stands() {
    let Some(server) = PrivateMariaDb::start("what statements cost", &[]).await else { return };
    let db = server.connect().await;
    let asked = async || {
        let text = "select cast(variable_value as signed) from information_schema.global_status \
                    where variable_name = 'COM_ADMIN_COMMANDS'";
        db.read_one(sql(text), Columns::int).await.unwrap().unwrap()
    };
    let before = asked().await;
    let began = std::time::Instant::now();
    for _ in 0..1_000 {
        db.fetch_all(sql("select 1")).await.unwrap();
    }
    let (asked, seconds) = (asked().await - before, i64::try_from(began.elapsed().as_secs()).unwrap() + 1);
    assert!(asked <= 10 * seconds, "asked {asked} times in {seconds} s");
}

/// Connections that are kept for the next statement are nobody's: transactions get both of two.
#[tokio::test]
async fn transactions_get_the_connections_that_nobody_uses() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let db = two_connections(&database).await;
    for _ in 0..5 {
        let (one, other) = (db.fetch_all(sql("select 1")), db.fetch_all(sql("select 1")));
        tokio::try_join!(one, other).unwrap();
        let both = async { (db.begin().await.unwrap(), db.begin().await.unwrap()) };
        let (one, other) =
            tokio::time::timeout(Duration::from_secs(5), both).await.expect("both connections");
        let waits = {
            let db = db.clone();
            tokio::spawn(async move { db.fetch_all(sql("select 1")).await.map(|rows| rows.len()) })
        };
        one.rollback().await.unwrap();
        other.rollback().await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap(), 1);
    }
    tokio::time::timeout(Duration::from_secs(5), db.close()).await.expect("nothing is kept when it closes");
    assert!(db.fetch_all(sql("select 1")).await.is_err());
}

/// Who stops waiting leaves a reply on its way; the next statement must not read it.
#[tokio::test]
async fn a_reply_that_nobody_waited_for_is_nobody_elses() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let db = two_connections(&database).await;
    for number in 0..50_i64 {
        let long = db.read_one(sql("select sleep(0.02) + 7"), Columns::optional_text);
        drop(tokio::time::timeout(Duration::from_millis(2), long).await);
        let query = sql("select ?").bind(number);
        assert_eq!(db.read_one(query, Columns::int).await.unwrap(), Some(number));
    }
}
