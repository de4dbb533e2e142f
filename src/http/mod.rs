//! L4 · HTTP: `edge` is what the API of every program has, `business` the routes of `qs-apiserver`. They speak to
//! services and to `identity`, never to a store.

pub mod business;
pub mod edge;
pub mod serve;
