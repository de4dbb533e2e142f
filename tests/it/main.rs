//! The integration tests: one crate, one module per subject.

#![expect(unreachable_pub, missing_docs, reason = "a test crate has no users but itself")]

mod support;

mod call;
