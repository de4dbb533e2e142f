//! Waiting for what another process does: asked again and again, never longer than a deadline.

use std::time::{Duration, Instant};

/// How long anything may take on a crowded machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two questions: whoever is asked needs the processor, too.
const PAUSE: Duration = Duration::from_millis(3);

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
