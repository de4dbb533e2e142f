//! The sync that is measured, from the request to the reply.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::apiserver::Apiserver;
use crate::data::Data;
use crate::report::Sync;

/// Syncs every day that there is, which must not fail anywhere.
pub(crate) async fn sync(server: &Apiserver) -> anyhow::Result<Sync> {
    let [start, end] = Data::days();
    let began = Instant::now();
    let window = json!({"start_date": start, "end_date": end});
    let reply = server.post("/api/v1/statistics/sync/daily", &window).await?;
    let seconds = began.elapsed().as_secs_f64();
    let count = |name: &str| reply["data"][name].as_u64().with_context(|| format!("no {name}: {reply}"));
    ensure!(count("failed")? == 0, "not everything was synced: {reply}");
    Ok(Sync {
        seconds,
        scanned: count("scanned")?,
        written: count("written")?,
        unchanged: count("unchanged")?,
    })
}
