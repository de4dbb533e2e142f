//! A verb of the store, again while other transactions are preferred.

use std::time::Duration;

use crate::store::{Answer, StoreError};

/// How often it is tried.
const ATTEMPTS: u32 = 6;

/// Does what a verb does; tries again, after a pause, what lost against another transaction.
pub(super) async fn settled<'a, T>(mut verb: impl FnMut() -> Answer<'a, T>) -> Result<T, StoreError> {
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
