//! The real programs, built when cargo runs the demonstration.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::output::{Failure, Output};
use crate::config::Env;
use crate::domain::exit::Exit;

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) api_call: PathBuf,
    pub(super) apiserver: PathBuf,
}

impl Programs {
    /// The programs beside this one. `cargo run` builds only the program that it runs, so under cargo the others are
    /// built here first.
    pub(super) fn find(env: &Env, output: Output) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(|error| {
            Failure::new(Exit::Io, format!("the place of this program is not known: {error}"))
        })?;
        let dir = own.parent().unwrap_or(Path::new("."));
        if let (Some(cargo), Some(manifest)) = (env.get("CARGO"), env.get("CARGO_MANIFEST_DIR")) {
            build(cargo, manifest, dir, output)?;
        }
        let programs = Self { api_call: dir.join("qs-api-call"), apiserver: dir.join("qs-apiserver") };
        for path in [&programs.api_call, &programs.apiserver] {
            if !path.exists() {
                return Err(Failure::new(Exit::NoInput, format!("{} is not there", path.display()))
                    .with_hint("build all three programs with `cargo build`, or run `cargo run -- demo`"));
            }
        }
        Ok(programs)
    }
}

fn build(cargo: &str, manifest: &str, dir: &Path, output: Output) -> Result<(), Failure> {
    output.note("building qs-api-call and qs-apiserver");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--bins", "--manifest-path"])
        .arg(Path::new(manifest).join("Cargo.toml"));
    if dir.ends_with("release") {
        command.arg("--release");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Exit::Failed, format!("cargo build ended with {status}"))),
        Err(error) => Err(Failure::new(Exit::NoInput, format!("{cargo}: {error}"))),
    }
}
