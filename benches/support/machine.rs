//! The machine that a benchmark runs on.

use std::process::{Command, Stdio};

/// Processor, cores, memory and kernel, in one line.
pub(crate) fn machine() -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let memory: u64 = memory.split(' ').next().unwrap_or_default().parse().unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let cpu = after(&read("/proc/cpuinfo"), "model name");
    let kernel = read("/proc/sys/kernel/osrelease");
    Ok(format!("{cpu}, {cores} cores, {} GiB, Linux {}", memory >> 20, kernel.trim()))
}

/// First line that a tool prints about itself; `None` when the tool is absent.
pub(crate) fn version(tool: &str) -> Option<String> {
    let output = Command::new(tool).arg("--version").stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
