//! The stable codes that only this program has, beside those of every program (`edge::error::codes`). Those below 110000
//! are the ones of the system that this replaces.

/// No token could be made.
pub const TOKEN_UNSIGNED: u32 = 100_208;
/// No such account, or the wrong password.
pub const CREDENTIALS: u32 = 102_001;
/// The account is locked.
pub const LOCKED: u32 = 102_302;
/// A sync did not do everything; `data` says what it did.
pub const SYNC_FAILED: u32 = 110_001;
/// Another sync of this kind is in progress.
pub const SYNC_BUSY: u32 = 110_002;
/// The first request with this Idempotency-Key is in progress.
pub const KEY_IN_PROGRESS: u32 = 110_003;
/// The Idempotency-Key belongs to another request.
pub const KEY_REUSED: u32 = 110_004;
/// A validation found differences that were not repaired; `data` lists the first of them.
pub const DIFFERENCES: u32 = 110_005;
/// As many syncs as this server takes on are running or waiting.
pub const SYNCS_CROWDED: u32 = 110_006;
/// The server ends: nothing was started, or what was started is cut off.
pub const ENDING: u32 = 110_507;
/// The state of the plan or task forbids it.
pub const STATE: u32 = 110_010;
/// Some of many events make no sense; `data` says which, and what became of the others.
pub const EVENTS_REFUSED: u32 = 110_020;
