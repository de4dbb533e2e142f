//! Defects of a program: a panic ends it with 70 and one line that shows the place and never the data.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use super::output::{Failure, Output};
use crate::domain::exit::Exit;

/// Where the last panic was.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// What a panic leaves, in place of what the standard library would print: its place. A program that is built to abort
/// catches nothing, so there it ends here, with its line on `output` and its code.
pub fn install_hook(output: Output) {
    std::panic::set_hook(Box::new(move |panic| {
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) =
            panic.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
        if cfg!(panic = "abort") {
            end(output);
        }
    }));
}

#[expect(clippy::exit, clippy::disallowed_methods, reason = "the alternative is the signal of an abort")]
fn end(output: Output) -> ! {
    let exit = output.finish(Err(Failure::new(Exit::Internal, message())));
    std::process::exit(exit.code().into());
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
pub async fn caught_in<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, String> {
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
