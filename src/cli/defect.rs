//! Defects of a program: a panic ends it with 70 and one line that shows the place and never the data.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

/// Where the last panic was.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// What a panic leaves, in place of what the standard library would print: its place.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) =
            panic.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
    }));
}

/// What `work` gives, or what to say of the panic that ended it.
///
/// # Errors
/// The sentence about the defect.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| message())
}

/// What the future gives, or what to say of the panic that ended it.
///
/// # Errors
/// The sentence about the defect.
pub async fn caught_in<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    poll_fn(|context| match caught(|| work.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(defect) => std::task::Poll::Ready(Err(defect)),
    })
    .await
}

fn message() -> String {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    format!("a defect of this program{place}; please report it")
}
