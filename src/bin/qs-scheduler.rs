//! Placeholder until the demo lands in the next commit.

fn main() {}
