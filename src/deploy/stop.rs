//! The signal that ends an install: noticed between steps and while one waits, never in the middle of a change.

use std::pin::Pin;

use super::error::DeployError;

/// What may come.
pub struct Stop {
    signal: Pin<Box<dyn Future<Output = &'static str>>>,
    came: Option<&'static str>,
}

impl Stop {
    /// Listens; the future ends with the signal's name.
    pub fn new(signal: impl Future<Output = &'static str> + 'static) -> Self {
        Self { signal: Box::pin(signal), came: None }
    }

    /// Nothing ever comes.
    pub fn never() -> Self {
        Self::new(std::future::pending())
    }

    /// Whether it has come.
    pub(super) async fn check(&mut self) -> Result<(), DeployError> {
        // Lets the runtime look at what the kernel has for it.
        tokio::task::yield_now().await;
        self.or(std::future::ready(())).await
    }

    /// Works until it comes.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, DeployError> {
        if let Some(signal) = self.came {
            return Err(DeployError::Stopped(signal));
        }
        tokio::select! {
            biased;
            signal = &mut self.signal => {
                self.came = Some(signal);
                Err(DeployError::Stopped(signal))
            }
            done = work => Ok(done),
        }
    }
}
