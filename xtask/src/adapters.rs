//! Crates that bring in other libraries, each its own workspace, so that other builds do not include them.

use crate::dependencies;
use crate::shell::{self, cargo, root, section};
use crate::tensorflow;
use anyhow::{Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

/// The folders below `adapters`, with the licenses that each accepts in addition to those of `deny.toml`.
const ADAPTERS: [(&str, &[&str]); 2] = [
    ("candle", &[]),
    // Of `colored`, which burn prints shapes with: its license covers changes to its own files only.
    ("burn", &["MPL-2.0"]),
];

/// Checks the licenses, the format and the lints of these adapters, or of all, and tests them.
pub(crate) fn adapters(names: &[String]) -> Result<()> {
    if let Some(other) = names.iter().find(|name| !ADAPTERS.iter().any(|(known, _)| known == name)) {
        bail!("no adapter {other}; there are {}", ADAPTERS.map(|(known, _)| known).join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    for (name, licenses) in ADAPTERS.into_iter().filter(|(name, _)| wanted(name)) {
        // With dev-dependencies: their licenses concern those who run the tests.
        let edges = ["tree", "--prefix", "none", "--edges", "normal,build,dev", "--format", "{p}|{l}"];
        let tree = command(name, &edges).output()?;
        ensure!(tree.status.success(), "{name}: {}", String::from_utf8_lossy(&tree.stderr));
        dependencies::check_licenses(&String::from_utf8_lossy(&tree.stdout), licenses)?;
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

/// Returns the folder of build outputs, which all adapters share.
fn target() -> PathBuf {
    // Below the target folder, so that `cargo clean` removes it.
    shell::target().join("adapters")
}

/// Returns a cargo command in an adapter.
pub(crate) fn command(name: &str, args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.current_dir(root().join("adapters").join(name)).env("CARGO_TARGET_DIR", target());
    command
}
