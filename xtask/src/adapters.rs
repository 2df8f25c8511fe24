//! Crates that bring in other libraries, each a workspace of its own, so that nobody else pays for building these.

use crate::dependencies;
use crate::shell::{cargo, root, section};
use crate::tensorflow;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// The folders below `adapters`.
const ADAPTERS: [&str; 1] = ["candle"];

/// Checks the licenses, the format and the lints of all adapters, and tests them.
pub(crate) fn adapters() -> Result<()> {
    for name in ADAPTERS {
        dependencies::check_licenses(&root().join("adapters").join(name).join("Cargo.toml"))?;
        section(&format!("{name}: format"), command(name, &["fmt", "--check"]))?;
        section(
            &format!("{name}: clippy"),
            command(name, &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]),
        )?;
        let mut tests = command(name, &["test", "--quiet"]);
        if let Some(python) = tensorflow::python() {
            tests.env("MONITORED_SESSION_TF_PYTHON", python);
        }
        section(&format!("{name}: tests"), tests)?;
    }
    Ok(())
}

/// Builds an example of an adapter, and returns where it is.
pub(crate) fn example(name: &str, example: &str, release: bool) -> Result<PathBuf> {
    let mut build = command(name, &["build", "--quiet", "--example", example]);
    build.args(release.then_some("--release"));
    section(&format!("build the example {example} of {name}"), build)?;
    let profile = if release { "release" } else { "debug" };
    Ok(target().join(profile).join("examples").join(example))
}

/// Returns the folder of what is built, which all adapters share.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("adapters")
}

/// Returns a cargo command in an adapter.
fn command(name: &str, args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.current_dir(root().join("adapters").join(name)).env("CARGO_TARGET_DIR", target());
    command
}
