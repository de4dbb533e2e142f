//! One run of a command: wall time, CPU time and peak memory of the process and of every process it waited for.

use std::process::Command;
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// From before the start to after the end.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Peak resident memory, in bytes.
    pub(crate) memory: u64,
}

/// Runs a command that must succeed.
pub(crate) fn run(mut command: Command) -> anyhow::Result<Sample> {
    let began = Instant::now();
    let end = command.spawn()?.wait4()?;
    let wall = began.elapsed();
    anyhow::ensure!(end.status.success(), "{}: {}", command.get_program().to_string_lossy(), end.status);
    Ok(Sample { wall, cpu: end.rusage.utime + end.rusage.stime, memory: end.rusage.maxrss })
}

/// The value below which a share of the values lies. At least one value is needed.
pub(crate) fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds of values")]
    let place = share * (values.len() - 1) as f64;
    let share = place.fract();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    values[low] * (1.0 - share) + values[high] * share
}
