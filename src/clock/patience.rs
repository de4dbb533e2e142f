//! How long whoever asks a store waits for it.
//!
//! A caller of an endpoint is told within two seconds that a store is down, and may ask again. Work that nobody waits for
//! with a finger on the key outlasts the restart of a store, so it waits longer: it says so for itself and everything that
//! it awaits.

use std::time::Duration;

/// How long the caller of an endpoint waits for a connection.
pub const CALLER: Duration = Duration::from_millis(1_400);

/// How long work waits that nobody waits for.
pub const WORK: Duration = Duration::from_secs(10);

tokio::task_local! {
    static PATIENCE: Duration;
}

/// Does this with the patience of work. A task that it spawns is somebody else again.
pub async fn patiently<T>(work: impl Future<Output = T>) -> T {
    PATIENCE.scope(WORK, work).await
}

/// How long whoever asks now waits.
pub fn patience() -> Duration {
    PATIENCE.try_with(|patience| *patience).unwrap_or(CALLER)
}
