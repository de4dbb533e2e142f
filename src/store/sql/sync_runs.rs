//! SQL of `qs_sync_run`.

use jiff::Timestamp;

use super::{SqlStore, corrupt, failed};
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};
use crate::sql::{CellError, Columns, Statement, Tx, sql};
use crate::store::{Answer, Begun, StoreError, SyncRunStore};

/// The columns that [`sync_run`] reads.
const COLUMNS: &str = "id, kind, org_id, trigger_type, caller, idempotency_key, request, window_start, window_end, status, \
                       scanned, written, unchanged, skipped, failed, errors, error_message, detail, mark, \
                       started_at, finished_at";

/// What a sync is told that nobody carried on.
const ABANDONED: &str = "the server stopped before the sync ended";

impl SyncRunStore for SqlStore {
    fn begin(&self, run: NewSyncRun) -> Answer<'_, Begun> {
        Box::pin(async move {
            let mut tx = self.db.begin().await.map_err(failed("begin"))?;
            if let Some(key) = &run.idempotency_key
                && let Some(known) = by_key(&mut tx, run.org_id, &run.caller, key).await?
            {
                return Ok(Begun::Known(known));
            }
            if let Some(lease) = &run.lease
                && let Some(holder) = take(&mut tx, lease, run.started_at).await?
            {
                return Ok(Begun::Busy(holder));
            }
            match tx.execute(insert(&run)).await {
                Ok(_) => {}
                // Another process was quicker between the look and the insert: look again at what it wrote.
                Err(error)
                    if error
                        .as_database_error()
                        .is_some_and(sqlx::error::DatabaseError::is_unique_violation) =>
                {
                    drop(tx);
                    return self.beaten(&run).await;
                }
                Err(error) => return Err(failed("begin")(error)),
            }
            tx.commit().await.map_err(failed("begin"))?;
            Ok(Begun::Started)
        })
    }

    fn renew<'a>(
        &'a self,
        id: &'a str,
        progress: &'a SyncProgress,
        lease_until: Timestamp,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            // primary key
            let query = sql(
                "update qs_sync_run set scanned = ?, written = ?, unchanged = ?, skipped = ?, failed = ?, \
                             lease_until = ? where id = ? and status = 'running'",
            )
            .bind_all(counts(progress))
            .bind(lease_until.as_millisecond())
            .bind(id);
            Ok(self.db.execute(query).await.map_err(failed("renew"))? == 1)
        })
    }

    fn finish<'a>(&'a self, id: &'a str, progress: &'a SyncProgress, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            let json = |source| StoreError::Database { verb: "finish", source: Box::new(source) };
            let errors = serde_json::to_string(&progress.errors).map_err(json)?;
            // primary key
            let query = sql("update qs_sync_run set status = ?, scanned = ?, written = ?, unchanged = ?, skipped = ?, \
                 failed = ?, errors = ?, error_message = ?, detail = ?, mark = ?, \
                 window_start = coalesce(?, window_start), window_end = coalesce(?, window_end), finished_at = ?, \
                 lease = null, lease_until = null where id = ? and status = 'running'")
            .bind(progress.status().as_str())
            .bind_all(counts(progress))
            .bind(errors)
            .bind(progress.error.as_ref())
            .bind(progress.detail.as_ref().map(ToString::to_string))
            .bind(progress.mark.as_ref())
            .bind(progress.window.map(|window| window.start.to_string()))
            .bind(progress.window.map(|window| window.end.to_string()))
            .bind(now.as_millisecond())
            .bind(id);
            Ok(self.db.execute(query).await.map_err(failed("finish"))? == 1)
        })
    }

    fn abandon<'a>(&'a self, reason: &'a str, now: Timestamp) -> Answer<'a, u64> {
        Box::pin(async move { self.db.execute(abandon(reason, now)).await.map_err(failed("abandon")) })
    }

    fn find<'a>(&'a self, org_id: i64, id: &'a str) -> Answer<'a, Option<SyncRun>> {
        Box::pin(async move {
            // primary key
            let query = sql(format!("select {COLUMNS} from qs_sync_run where id = ? and org_id = ?"));
            let row = self.db.fetch_optional(query.bind(id).bind(org_id)).await.map_err(failed("find"))?;
            row.map(|row| sync_run(&mut row.columns()).map_err(corrupt("find"))).transpose()
        })
    }

    fn recent(
        &self,
        org_id: i64,
        kind: Option<SyncKind>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Answer<'_, Vec<SyncRun>> {
        Box::pin(async move {
            let kind = kind.map(SyncKind::as_str);
            // idx_qs_sync_run_kind
            let query = sql(format!(
                "select {COLUMNS} from qs_sync_run where org_id = ? and (? is null or kind = ?) and started_at < ? \
                 order by started_at desc, id desc limit ?"
            ))
            .bind(org_id)
            .bind(kind)
            .bind(kind)
            .bind(before.map_or(i64::MAX, Timestamp::as_millisecond))
            .bind(limit);
            let rows = self.db.fetch_all(query).await.map_err(failed("recent"))?;
            rows.into_iter().map(|row| sync_run(&mut row.columns()).map_err(corrupt("recent"))).collect()
        })
    }

    fn last_marked<'a>(&'a self, org_id: i64, kinds: &'a [SyncKind]) -> Answer<'a, Option<SyncRun>> {
        Box::pin(async move {
            // idx_qs_sync_run_kind
            let query = sql(format!(
                "select {COLUMNS} from qs_sync_run where org_id = ? and status = 'succeeded' and mark is not null \
                 and kind in "
            ))
            .bind(org_id)
            .push_list(kinds.iter().map(|kind| kind.as_str()))
            .push(" order by started_at desc, id desc limit 1");
            let row = self.db.fetch_optional(query).await.map_err(failed("last_marked"))?;
            row.map(|row| sync_run(&mut row.columns()).map_err(corrupt("last_marked"))).transpose()
        })
    }

    fn forget(&self, ended_before: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            // idx_qs_sync_run_started; the inner table is named twice over, because MySQL refuses a bare self-reference
            let query = sql("delete from qs_sync_run where finished_at < ? and id not in (select id from ( \
                 select max(id) as id from qs_sync_run where status = 'succeeded' and mark is not null \
                 group by org_id, kind) newest)");
            let query = query.bind(ended_before.as_millisecond());
            self.db.execute(query).await.map_err(failed("forget"))
        })
    }
}

impl SqlStore {
    /// Who was quicker: the first request with this key, or the holder of the lease.
    async fn beaten(&self, run: &NewSyncRun) -> Result<Begun, StoreError> {
        let mut tx = self.db.begin().await.map_err(failed("begin"))?;
        if let Some(key) = &run.idempotency_key
            && let Some(known) = by_key(&mut tx, run.org_id, &run.caller, key).await?
        {
            return Ok(Begun::Known(known));
        }
        let lease = run.lease.as_deref().unwrap_or_default();
        match holder(&mut tx, lease).await? {
            Some(holder) => Ok(Begun::Busy(holder)),
            // It has ended meanwhile. The caller is told that the database could not decide, and repeats.
            None => Err(failed("begin")(sqlx::Error::RowNotFound)),
        }
    }
}

/// Takes a lease that ran out away from its holder. Answers the holder that has it still.
async fn take(tx: &mut Tx, lease: &str, now: Timestamp) -> Result<Option<SyncRun>, StoreError> {
    tx.execute(abandon(ABANDONED, now).push(" and lease = ?").bind(lease)).await.map_err(failed("begin"))?;
    holder(tx, lease).await
}

async fn holder(tx: &mut Tx, lease: &str) -> Result<Option<SyncRun>, StoreError> {
    // uk_qs_sync_run_lease
    let query = sql(format!("select {COLUMNS} from qs_sync_run where lease = ?")).bind(lease);
    let row = tx.fetch_optional(query).await.map_err(failed("begin"))?;
    row.map(|row| sync_run(&mut row.columns()).map_err(corrupt("begin"))).transpose()
}

async fn by_key(tx: &mut Tx, org_id: i64, caller: &str, key: &str) -> Result<Option<SyncRun>, StoreError> {
    // uk_qs_sync_run_key
    let query = sql(format!(
        "select {COLUMNS} from qs_sync_run where org_id = ? and caller = ? and idempotency_key = ?"
    ));
    let row = tx.fetch_optional(query.bind(org_id).bind(caller).bind(key)).await.map_err(failed("begin"))?;
    row.map(|row| sync_run(&mut row.columns()).map_err(corrupt("begin"))).transpose()
}

fn counts(progress: &SyncProgress) -> [u64; 5] {
    let SyncProgress { scanned, written, unchanged, skipped, failed, .. } = *progress;
    [scanned, written, unchanged, skipped, failed]
}

// idx_qs_sync_run_lease
fn abandon(reason: &str, now: Timestamp) -> Statement {
    sql("update qs_sync_run set status = 'failed', error_message = ?, finished_at = ?, lease = null, \
         lease_until = null where status = 'running' and lease_until <= ?")
    .bind(reason)
    .bind(now.as_millisecond())
    .bind(now.as_millisecond())
}

fn insert(run: &NewSyncRun) -> Statement {
    sql("insert into qs_sync_run (id, kind, org_id, trigger_type, caller, idempotency_key, request, window_start, \
         window_end, status, errors, lease, lease_until, started_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', '[]', ?, ?, ?)")
    .bind(&run.id)
    .bind(run.kind.as_str())
    .bind(run.org_id)
    .bind(&run.trigger)
    .bind(&run.caller)
    .bind(run.idempotency_key.as_ref())
    .bind(&run.request)
    .bind(run.window.map(|window| window.start.to_string()))
    .bind(run.window.map(|window| window.end.to_string()))
    .bind(run.lease.as_ref())
    .bind(run.lease_until.as_millisecond())
    .bind(run.started_at.as_millisecond())
}

fn sync_run(columns: &mut Columns) -> Result<SyncRun, CellError> {
    let json = |error: serde_json::Error| error.to_string();
    let instant = |ms: i64| Timestamp::from_millisecond(ms).map_err(|error| error.to_string());
    let (id, kind, org_id) = (columns.text()?, columns.parsed()?, columns.int()?);
    let (trigger, caller) = (columns.text()?, columns.text()?);
    let (idempotency_key, request) = (columns.optional_text()?, columns.text()?);
    let window = match (columns.optional_parsed()?, columns.optional_parsed()?) {
        (Some(start), Some(end)) => Some(DayRange { start, end }),
        _ => None,
    };
    Ok(SyncRun {
        id,
        kind,
        org_id,
        trigger,
        caller,
        idempotency_key,
        request,
        window,
        status: columns.parsed()?,
        progress: SyncProgress {
            scanned: columns.count()?,
            written: columns.count()?,
            unchanged: columns.count()?,
            skipped: columns.count()?,
            failed: columns.count()?,
            errors: serde_json::from_str(&columns.text()?).map_err(json)?,
            error: columns.optional_text()?,
            detail: columns
                .optional_text()?
                .map(|text| serde_json::from_str(&text).map_err(json))
                .transpose()?,
            mark: columns.optional_text()?,
            window,
        },
        started_at: instant(columns.int()?)?,
        finished_at: columns.optional_int()?.map(instant).transpose()?,
    })
}
