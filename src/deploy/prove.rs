//! How it is known that cron runs the file that was placed.
//!
//! The best proof is cron's log: "RELOAD" and no error behind it. Cron says RELOAD of a file that it knew before, so a
//! first install is read without a word; it is then made a second younger, and the next minute cron says RELOAD of it,
//! too. Where there is no log, cron's own parser has judged the same bytes before, and cron is running: that is weaker,
//! and the report says which of the two it was.

use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::word::words;

words! {
    /// What a proof rests on.
    pub enum ProofKind: "proof" {
        /// Cron's log.
        Log = "log",
        /// Cron's parser, asked before.
        Parse = "parse",
        /// Nothing: none was asked for.
        None = "none",
    }
}

/// How it is proved that cron runs the file; the comments are the help text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WantedProof {
    /// Cron's log if it can be read, else cron's parser
    #[default]
    Auto,
    /// Cron must log that it has read the file
    Log,
    /// Cron's own parser must accept it, and cron must be running
    Parse,
    /// None
    None,
}

/// A proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it rests on.
    pub kind: ProofKind,
    /// What was seen.
    pub evidence: String,
    /// When.
    pub at: Timestamp,
}
