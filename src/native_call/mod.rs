//! L3 · A line of `qs-api-call` as a call of this process: its settings, its lock, its monitor, and what it leaves
//! behind. The command line makes one and shows it; the scheduler makes many. Neither knows more of a call than is here.
//!
//! [`settings::Settings`] are what files, environment and line say. [`NativeCall`] is the call with its journal open:
//! it is made under the lock of its task, it can be stopped, and in the end everything of it is written down.

mod call;
mod ended;
mod monitor;
mod options;
pub mod reply_file;
pub mod settings;
mod token_place;

pub use call::{NativeCall, Unmade, identity};
pub use ended::{Ended, StoppedBy, exit_and_message};
