//! What the sync is compared with.

use std::time::Instant;

use anyhow::ensure;
use sqlx::mysql::MySqlPoolOptions;

use crate::data::{Counter, Data};
use crate::servers::{MySql, Redis};

/// Counters that the replaced system's way is measured with: it takes the same time for each.
const UPSTREAM_ROWS: u32 = 20_000;

const UPSERT: &str = "insert into statistics_daily (org_id, statistic_type, statistic_key, stat_date, \
     submission_count, completion_count, created_at, updated_at) values (?, ?, ?, ?, ?, ?, now(3), now(3)) \
     on duplicate key update submission_count = values(submission_count), \
     completion_count = values(completion_count), updated_at = values(updated_at)";

/// How many rows in how many seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    /// Rows.
    pub(crate) rows: u32,
    /// Seconds.
    pub(crate) seconds: f64,
}

impl Speed {
    /// Rows a second.
    pub(crate) fn rate(self) -> f64 {
        f64::from(self.rows) / self.seconds
    }
}

/// The replaced system's way: one `HMGET` and one statement a counter, each a transaction, one after the other. To its
/// advantage the statement stays prepared and the keys are known.
pub(crate) async fn upstream(mysql: &MySql, redis: &Redis, data: Data) -> anyhow::Result<Speed> {
    let url = table(mysql, "qs_bench_upstream").await?;
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&url).await?;
    let mut redis = redis.connection(0)?;
    let counters: Vec<Counter> = data.sample(UPSTREAM_ROWS).collect();
    let began = Instant::now();
    for counter in &counters {
        let fields = ["submission_count", "completion_count"];
        let (submissions, completions): (i64, i64) =
            redis::cmd("HMGET").arg(&counter.name).arg(&fields).query(&mut redis)?;
        let upsert = sqlx::query(UPSERT).bind(1_i64).bind(counter.statistic).bind(&counter.key);
        upsert.bind(&counter.date).bind(submissions).bind(completions).execute(&pool).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    pool.close().await;
    let rows = UPSTREAM_ROWS.min(data.rows);
    check(mysql, "qs_bench_upstream", rows, Data::sum(data.sample(UPSTREAM_ROWS))).await?;
    Ok(Speed { rows, seconds })
}

/// The database's own way from a file: a bulk load into a table without indexes, and one statement from there. The
/// file is in the order of the unique key's parts, which suits the index.
pub(crate) async fn bulk_load(mysql: &MySql, data: Data) -> anyhow::Result<[f64; 2]> {
    table(mysql, "qs_bench_load").await?;
    mysql
        .run(
            "create table qs_bench_load.staging (org_id bigint not null, \
             statistic_type varchar(50) character set utf8mb4 collate utf8mb4_bin not null, \
             statistic_key varchar(255) character set utf8mb4 collate utf8mb4_bin not null, \
             stat_date date not null, submission_count bigint not null, completion_count bigint not null) \
             engine = innodb",
        )
        .await?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("counters.tsv");
    data.write(&path)?;
    let load = format!("load data local infile '{}' into table qs_bench_load.staging", path.display());
    let columns = "org_id, statistic_type, statistic_key, stat_date, submission_count, completion_count";
    let merge = format!(
        "insert into qs_bench_load.statistics_daily ({columns}, created_at, updated_at) \
         select {columns}, now(3), now(3) from qs_bench_load.staging \
         on duplicate key update submission_count = values(submission_count), \
         completion_count = values(completion_count), updated_at = values(updated_at)"
    );
    let mut seconds = [0.0; 2];
    for (seconds, script) in seconds.iter_mut().zip([load, merge]) {
        let began = Instant::now();
        let output = mysql.client(&script).output()?;
        *seconds = began.elapsed().as_secs_f64();
        ensure!(output.status.success(), "mariadb: {}", String::from_utf8_lossy(&output.stderr));
    }
    check(mysql, "qs_bench_load", data.rows, Data::sum(data.counters())).await?;
    Ok(seconds)
}

/// A database with an empty `statistics_daily` of the definition that the program has made.
async fn table(mysql: &MySql, database: &str) -> anyhow::Result<String> {
    let url = mysql.database(database).await?;
    mysql.run(&format!("create table {database}.statistics_daily like qs_bench.statistics_daily")).await?;
    Ok(url)
}

/// Fails unless so many rows with this sum are there.
pub(crate) async fn check(mysql: &MySql, database: &str, rows: u32, sum: u64) -> anyhow::Result<()> {
    let found = mysql
        .text(&format!(
            "select concat(count(*), ' ', coalesce(sum(submission_count), 0)) from {database}.statistics_daily"
        ))
        .await?;
    ensure!(found == format!("{rows} {sum}"), "{database}: {found} instead of {rows} {sum}");
    Ok(())
}
