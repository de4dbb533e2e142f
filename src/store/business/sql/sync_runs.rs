//! SQL of `qs_sync_run`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use crate::domain::statistics::DayRange;
use crate::domain::sync_run::{NewSyncRun, SyncKind, SyncProgress, SyncRun};
use crate::sql::{CellError, Columns, DatabaseKind, ListRow, Order, Statement, Tx, sql, unless_taken};
use crate::store::business::lists::Entry;
use crate::store::business::{SyncAdmission, SyncFilter, SyncMark, SyncRunStore};
use crate::store::error::{Answer, named};

/// The columns that [`sync_run`] reads.
const COLUMNS: &str = "id, kind, org_id, trigger_type, caller, idempotency_key, retry_of, request, window_start, window_end, \
                       status, scanned, written, unchanged, skipped, failed, errors, error_message, detail, mark, \
                       started_at, finished_at";

/// What is recorded of a sync whose process is gone.
const ABANDONED: &str = "the server stopped before the sync ended";

#[async_trait]
impl SyncRunStore for SqlStore {
    async fn begin(&self, run: &NewSyncRun) -> Answer<SyncAdmission> {
        named("begin", async {
            let mut tx = self.db.begin().await?;
            // A lease that ran out is taken away from its holder, and the key with it. The key belongs to one request, so
            // its holder is of this kind and organisation.
            tx.execute(abandon(ABANDONED, run.started_at).push(" and lease = ?").bind(&run.lease)).await?;
            if let Some(holder) = holder_of_key(&mut tx, run).await? {
                return Ok(SyncAdmission::KeyUsed(holder));
            }
            let first = first_with_key(&mut tx, run).await?;
            let first = match first {
                Some(first) if first.request != run.request => return Ok(SyncAdmission::KeyUsed(first)),
                // Every later one names the first.
                first => first.map(|first| first.retry_of.unwrap_or(first.id)),
            };
            if let Some(holder) = holder(&mut tx, &run.lease).await? {
                return Ok(SyncAdmission::LeaseHeld(holder));
            }
            if unless_taken(tx.execute(insert(run, first)).await)?.is_none() {
                // Another process inserted first: look at what it wrote.
                drop(tx);
                return self.refusal_after_conflict(run).await;
            }
            tx.commit().await?;
            Ok(SyncAdmission::Admitted)
        })
        .await
    }

    async fn renew(&self, id: &str, progress: &SyncProgress, lease_until: Timestamp) -> Answer<bool> {
        named("renew", async {
            // primary key
            let query = sql(
                "update qs_sync_run set scanned = ?, written = ?, unchanged = ?, skipped = ?, failed = ?, \
                             lease_until = ? where id = ? and status = 'running'",
            )
            .bind_all(counts(progress))
            .bind(lease_until.as_millisecond())
            .bind(id);
            Ok(self.db.execute(query).await? == 1)
        })
        .await
    }

    async fn finish(&self, id: &str, progress: &SyncProgress, now: Timestamp) -> Answer<bool> {
        named("finish", async {
            // primary key
            let query = sql("update qs_sync_run set status = ?, scanned = ?, written = ?, unchanged = ?, skipped = ?, \
                 failed = ?, errors = ?, error_message = ?, detail = ?, mark = ?, \
                 window_start = coalesce(?, window_start), window_end = coalesce(?, window_end), finished_at = ?, \
                 lease = null, lease_until = null where id = ? and status = 'running'")
            .bind(progress.status().as_str())
            .bind_all(counts(progress))
            .bind(serde_json::json!(progress.errors).to_string())
            .bind(progress.error.as_ref())
            .bind(progress.detail.as_ref().map(ToString::to_string))
            .bind(progress.mark.as_ref())
            .bind(progress.window.map(|window| window.start.to_string()))
            .bind(progress.window.map(|window| window.end.to_string()))
            .bind(now.as_millisecond())
            .bind(id);
            Ok(self.db.execute(query).await? == 1)
        })
        .await
    }

    async fn abandon(&self, reason: &str, now: Timestamp) -> Answer<u64> {
        named("abandon", self.db.execute(abandon(reason, now))).await
    }

    async fn find(&self, org_id: i64, id: &str) -> Answer<Option<SyncRun>> {
        // primary key
        let query = sql(format!("select {COLUMNS} from qs_sync_run where id = ? and org_id = ?"));
        named("find", self.db.read_one(query.bind(id).bind(org_id), sync_run)).await
    }

    async fn recent(
        &self,
        org_id: i64,
        filter: &SyncFilter,
        after: Option<&SyncMark>,
        limit: u32,
    ) -> Answer<Vec<Entry<SyncRun, SyncMark>>> {
        let query = newest(self.db.kind(), org_id, filter, after, limit);
        let entry = |row: ListRow<SyncRun>| {
            let started = row.last.int().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let mark = started.zip(row.first.text());
            let mark = mark.map(|(started_at, id)| SyncMark { started_at, id: id.to_owned() });
            Entry { mark, read: row.read }
        };
        let rows = named("recent", self.db.read_list(query, sync_run)).await?;
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn last_marked(&self, org_id: i64, kinds: &[SyncKind], now: Timestamp) -> Answer<Option<SyncRun>> {
        // idx_qs_sync_run_kind
        let query = sql(format!(
            "select {COLUMNS} from qs_sync_run where org_id = ? and status = 'succeeded' and mark is not null \
             and started_at <= ? and kind in "
        ))
        .bind(org_id)
        .bind(now.as_millisecond())
        .push_list(kinds.iter().map(|kind| kind.as_str()))
        .push(" order by started_at desc, id desc limit 1");
        named("last_marked", self.db.read_one(query, sync_run)).await
    }

    async fn forget(&self, ended_before: Timestamp) -> Answer<u64> {
        // idx_qs_sync_run_started; the inner table is named twice over, because MySQL refuses a bare self-reference
        let query = sql("delete from qs_sync_run where finished_at < ? and id not in (select id from ( \
             select max(id) as id from qs_sync_run where status = 'succeeded' and mark is not null \
             group by org_id, kind) newest)");
        let query = query.bind(ended_before.as_millisecond());
        named("forget", self.db.execute(query)).await
    }
}

impl SqlStore {
    /// Who kept a record from being written: the holder of the key, or of the lease.
    async fn refusal_after_conflict(&self, run: &NewSyncRun) -> Result<SyncAdmission, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        if let Some(holder) = holder_of_key(&mut tx, run).await? {
            return Ok(SyncAdmission::KeyUsed(holder));
        }
        // When it has ended meanwhile, the caller is told that the database could not decide, and repeats.
        let holder = holder(&mut tx, &run.lease).await?;
        holder.map(SyncAdmission::LeaseHeld).ok_or(sqlx::Error::RowNotFound)
    }
}

/// The newest records after this one.
pub(super) fn newest(
    database: DatabaseKind,
    org_id: i64,
    filter: &SyncFilter,
    after: Option<&SyncMark>,
    limit: u32,
) -> Statement {
    // idx_qs_sync_run_org, of a kind idx_qs_sync_run_kind; the primary key ends both
    let mut query = sql(format!("select {COLUMNS}, started_at from qs_sync_run where org_id = ?"))
        .bind(org_id)
        .push_some(" and kind = ?", filter.kind.map(SyncKind::as_str))
        .push_some(" and started_at < ?", filter.before.map(Timestamp::as_millisecond));
    if let Some(after) = after {
        let values = [after.started_at.as_millisecond().into(), (&after.id).into()];
        query = query.push_after(database, ["started_at", "id"], Order::Falling, values);
    }
    query.push(" order by started_at desc, id desc limit ?").bind(limit)
}

async fn holder(tx: &mut Tx, lease: &str) -> Result<Option<SyncRun>, sqlx::Error> {
    // uk_qs_sync_run_lease
    let query = sql(format!("select {COLUMNS} from qs_sync_run where lease = ?")).bind(lease);
    tx.read_one(query, sync_run).await
}

/// The sync of this caller that holds the key of this one: it runs, or it has succeeded.
async fn holder_of_key(tx: &mut Tx, run: &NewSyncRun) -> Result<Option<SyncRun>, sqlx::Error> {
    let Some(key) = &run.idempotency_key else { return Ok(None) };
    // uk_qs_sync_run_held_key
    let query =
        sql(format!("select {COLUMNS} from qs_sync_run where org_id = ? and caller = ? and held_key = ?"));
    tx.read_one(query.bind(run.org_id).bind(&run.caller).bind(key), sync_run).await
}

/// A sync of this caller with the key of this one: the first, of those whose records are kept.
async fn first_with_key(tx: &mut Tx, run: &NewSyncRun) -> Result<Option<SyncRun>, sqlx::Error> {
    let Some(key) = &run.idempotency_key else { return Ok(None) };
    // idx_qs_sync_run_key
    let query = sql(format!(
        "select {COLUMNS} from qs_sync_run where org_id = ? and caller = ? and idempotency_key = ? \
         order by started_at, id limit 1"
    ));
    tx.read_one(query.bind(run.org_id).bind(&run.caller).bind(key), sync_run).await
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

fn insert(run: &NewSyncRun, retry_of: Option<String>) -> Statement {
    sql("insert into qs_sync_run (id, kind, org_id, trigger_type, caller, idempotency_key, retry_of, request, \
         window_start, window_end, status, errors, lease, lease_until, started_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', '[]', ?, ?, ?)")
    .bind(&run.id)
    .bind(run.kind.as_str())
    .bind(run.org_id)
    .bind(&run.trigger)
    .bind(&run.caller)
    .bind(run.idempotency_key.as_ref())
    .bind(retry_of)
    .bind(&run.request)
    .bind(run.window.map(|window| window.start.to_string()))
    .bind(run.window.map(|window| window.end.to_string()))
    .bind(&run.lease)
    .bind(run.lease_until.as_millisecond())
    .bind(run.started_at.as_millisecond())
}

fn sync_run(columns: &mut Columns) -> Result<SyncRun, CellError> {
    let json = |error: serde_json::Error| error.to_string();
    let instant = |ms: i64| Timestamp::from_millisecond(ms).map_err(|error| error.to_string());
    let (id, kind, org_id) = (columns.text()?, columns.parsed()?, columns.int()?);
    let (trigger, caller) = (columns.text()?, columns.text()?);
    let (idempotency_key, retry_of) = (columns.optional_text()?, columns.optional_text()?);
    let request = columns.text()?;
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
        retry_of,
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
            store_lost: false,
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
