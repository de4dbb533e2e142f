//! How an optimised `qs-api-call` is linked, so that a call costs no more for what else is in the program. Why, and what
//! it brought: `docs/decisions/0030-a-call-is-laid-out-together.md`.

#![expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
#![expect(clippy::disallowed_methods, reason = "and this is how cargo talks to it")]

use std::env;
use std::process::Command;

/// The order of the functions, written by `make order`.
const ORDER: &str = "src/bin/qs-api-call.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    let told = |name: &str| env::var(name).unwrap_or_default();
    let is_gnu = told("CARGO_CFG_TARGET_OS") == "linux" && told("CARGO_CFG_TARGET_ENV") == "gnu";
    // Whoever chooses a linker, or how it links, is left alone: not every linker reads a script.
    let is_ours = told("RUSTC_LINKER").is_empty() && !told("CARGO_ENCODED_RUSTFLAGS").contains("link");
    if told("PROFILE") != "release" || !is_gnu || !is_ours {
        return;
    }
    // The functions of a call lie together, at the beginning of the program.
    println!("cargo::rustc-link-arg-bin=qs-api-call=-T{}/{ORDER}", told("CARGO_MANIFEST_DIR"));
    if told("HOST") != told("TARGET") {
        return;
    }
    // The unwinder, which a program that aborts never enters, is no library to find and to load.
    if told("CARGO_FEATURE_SERVER").is_empty() && has_static_unwinder() {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
    // Relative relocations in an eightieth of the room. A C library before 2.36 cannot read them; a program is not run on
    // an older one than that of the machine that built it.
    if c_library().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bin=qs-api-call=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the C compiler that links has it; one that does not prints the name back.
fn has_static_unwinder() -> bool {
    said("cc", "-print-file-name=libgcc_eh.a").is_some_and(|path| path.starts_with('/'))
}

/// Major and minor version of this machine's C library.
fn c_library() -> Option<(u32, u32)> {
    let version = said("getconf", "GNU_LIBC_VERSION")?;
    let (major, minor) = version.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What a program of one argument prints.
fn said(program: &str, argument: &str) -> Option<String> {
    let output =
        Command::new(program).arg(argument).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
