//! A verb of the store, again while other transactions are preferred.

use std::future::Future;
use std::time::Duration;

use super::StoreError;

/// How often it is tried.
const ATTEMPTS: u32 = 6;

/// Does what a verb does; tries again, after a pause, what lost against another transaction.
///
/// # Errors
/// What the verb answered at last.
pub async fn retry<T, F>(mut verb: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut attempt = 1;
    loop {
        match verb().await {
            Err(StoreError::Contended { .. }) if attempt < ATTEMPTS => {
                let milliseconds = fastrand::u64(5..=20) << attempt;
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}
