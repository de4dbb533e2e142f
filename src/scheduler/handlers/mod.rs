//! What the tasks of each kind of target are done by.

pub mod endpoint;
