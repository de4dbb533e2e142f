//! SQL of `sync_run`.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{SqliteStore, failed};
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun, SyncStatus};
use crate::store::{Answer, Begun, StoreError, SyncRunStore, parse_date, parse_instant};

impl SyncRunStore for SqliteStore {
    fn begin(&self, run: NewSyncRun) -> Answer<'_, Begun> {
        Box::pin(async move {
            let mut transaction = self.pool.begin_with("begin immediate").await.map_err(failed("begin"))?;
            if let Some(key) = &run.idempotency_key
                && let Some(known) = by_key(&mut transaction, run.org_id, &run.caller, key).await?
            {
                return Ok(Begun::Known(known));
            }
            if let Some(holder) = running(&mut transaction, run.org_id, run.kind).await? {
                return Ok(Begun::Busy(holder));
            }
            insert(&mut transaction, &run).await?;
            transaction.commit().await.map_err(failed("begin"))?;
            Ok(Begun::Started)
        })
    }

    fn finish<'a>(&'a self, id: &'a str, progress: &'a SyncProgress, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let errors = serde_json::to_string(&progress.errors)
                .map_err(|source| StoreError::Database { verb: "finish", source: Box::new(source) })?;
            // primary key
            let done = sqlx::query(
                "update sync_run set status = ?, scanned = ?, written = ?, unchanged = ?, skipped = ?, failed = ?, \
                 errors = ?, error_message = ?, mark = ?, finished_at = ? where id = ? and status = 'running'",
            )
            .bind(progress.status().as_str())
            .bind(clamp(progress.scanned))
            .bind(clamp(progress.written))
            .bind(clamp(progress.unchanged))
            .bind(clamp(progress.skipped))
            .bind(clamp(progress.failed))
            .bind(errors)
            .bind(&progress.error)
            .bind(progress.mark)
            .bind(now.to_string())
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(failed("finish"))?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn abandon<'a>(&'a self, reason: &'a str, now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move {
            // uk_sync_run_running: its condition makes it the list of all running syncs
            let done = sqlx::query(
                "update sync_run set status = 'failed', error_message = ?, finished_at = ? where status = 'running'",
            )
            .bind(reason)
            .bind(now.to_string())
            .execute(&self.pool)
            .await
            .map_err(failed("abandon"))?;
            Ok(done.rows_affected())
        })
    }

    fn find<'a>(&'a self, org_id: i64, id: &'a str) -> Answer<'a, Option<SyncRun>> {
        Box::pin(async move {
            // primary key
            let row = sqlx::query("select * from sync_run where id = ? and org_id = ?")
                .bind(id)
                .bind(org_id)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("find"))?;
            row.as_ref().map(sync_run).transpose()
        })
    }

    fn last_mark(&self, org_id: i64, kind: SyncKind) -> Answer<'_, Option<i64>> {
        Box::pin(async move {
            // idx_sync_run_mark
            sqlx::query_scalar(
                "select max(mark) from sync_run where org_id = ? and kind = ? and status = 'succeeded'",
            )
            .bind(org_id)
            .bind(kind.as_str())
            .fetch_one(&self.pool)
            .await
            .map_err(failed("last_mark"))
        })
    }
}

async fn by_key(
    connection: &mut SqliteConnection,
    org_id: i64,
    caller: &str,
    key: &str,
) -> Result<Option<SyncRun>, StoreError> {
    // uk_sync_run_key
    let row = sqlx::query("select * from sync_run where org_id = ? and caller = ? and idempotency_key = ?")
        .bind(org_id)
        .bind(caller)
        .bind(key)
        .fetch_optional(connection)
        .await
        .map_err(failed("begin"))?;
    row.as_ref().map(sync_run).transpose()
}

async fn running(
    connection: &mut SqliteConnection,
    org_id: i64,
    kind: SyncKind,
) -> Result<Option<SyncRun>, StoreError> {
    // uk_sync_run_running
    let row = sqlx::query("select * from sync_run where org_id = ? and kind = ? and status = 'running'")
        .bind(org_id)
        .bind(kind.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failed("begin"))?;
    row.as_ref().map(sync_run).transpose()
}

async fn insert(connection: &mut SqliteConnection, run: &NewSyncRun) -> Result<(), StoreError> {
    sqlx::query(
        "insert into sync_run (id, kind, org_id, trigger_type, caller, idempotency_key, request, window_start, \
         window_end, status, started_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&run.id)
    .bind(run.kind.as_str())
    .bind(run.org_id)
    .bind(run.trigger)
    .bind(&run.caller)
    .bind(&run.idempotency_key)
    .bind(&run.request)
    .bind(run.window.map(|window| window.start.to_string()))
    .bind(run.window.map(|window| window.end.to_string()))
    .bind(SyncStatus::Running.as_str())
    .bind(run.started_at.to_string())
    .execute(connection)
    .await
    .map_err(failed("begin"))?;
    Ok(())
}

fn sync_run(row: &SqliteRow) -> Result<SyncRun, StoreError> {
    const VERB: &str = "read sync_run";
    let corrupt = |found| StoreError::Corrupt { verb: VERB, found };
    let text = |name| row.try_get::<String, _>(name).map_err(failed(VERB));
    let optional = |name| row.try_get::<Option<String>, _>(name).map_err(failed(VERB));
    let number = |name| row.try_get::<i64, _>(name).map(i64::cast_unsigned).map_err(failed(VERB));
    let window = match (optional("window_start")?, optional("window_end")?) {
        (Some(start), Some(end)) => {
            Some(DayRange { start: parse_date(VERB, &start)?, end: parse_date(VERB, &end)? })
        }
        _ => None,
    };
    Ok(SyncRun {
        id: text("id")?,
        kind: text("kind")?.parse().map_err(corrupt)?,
        org_id: row.try_get("org_id").map_err(failed(VERB))?,
        trigger: text("trigger_type")?,
        caller: text("caller")?,
        request: text("request")?,
        window,
        status: text("status")?.parse().map_err(corrupt)?,
        progress: SyncProgress {
            scanned: number("scanned")?,
            written: number("written")?,
            unchanged: number("unchanged")?,
            skipped: number("skipped")?,
            failed: number("failed")?,
            errors: serde_json::from_str(&text("errors")?).map_err(|error| corrupt(error.to_string()))?,
            error: optional("error_message")?,
            mark: row.try_get("mark").map_err(failed(VERB))?,
        },
        started_at: parse_instant(VERB, &text("started_at")?)?,
        finished_at: optional("finished_at")?.map(|at| parse_instant(VERB, &at)).transpose()?,
    })
}

/// SQLite counts in signed numbers.
fn clamp(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
