//! L2 · Exclusive rights that are held beside work. The rule of trust is [`crate::domain::lease`]'s; where a right is kept
//! is the business of whoever implements [`Lease`].

pub mod keep;

pub use keep::{Lease, WorkEnd, keep};
