//! Running other programs, and saying so.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Returns the top of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Returns the folder of build outputs.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns cargo's metadata of the workspace's crates, without their dependencies.
pub(crate) fn members() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?)
}

/// Prints text as it is.
pub(crate) fn say(text: &str) {
    // A closed pipe is not a reason to stop.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Returns a cargo command in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    // The cargo that runs this program, so that all use one toolchain.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    command
}

/// Returns a cargo command for targets of the whole workspace with all features: what `cargo xtask test` has compiled. With the
/// features that one package needs, its dependencies would be compiled again.
pub(crate) fn cargo_workspace(command: &str) -> Command {
    cargo(&[command, "--quiet", "--workspace", "--all-features"])
}

/// Runs a command as a named section, with its time.
pub(crate) fn section(name: &str, mut command: Command) -> Result<()> {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    if !status.success() {
        bail!("{name} failed: {command:?} ended with {status}");
    }
    say(&format!("    {name}: {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// Returns true if a program runs.
pub(crate) fn exists(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}
