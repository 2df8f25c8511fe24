//! Damaged files for every reader, and operations by chance for the engine, for a while. A finding names its seed.

use crate::shell::{cargo_workspace, section};
use anyhow::Result;

/// The programs. Each knows some of the targets and passes over the others.
const PROGRAMS: [&str; 4] = ["fuzz_formats", "fuzz_graphs", "fuzz_models", "fuzz_ops"];

/// Passes its arguments on to the fuzzing programs; see there.
pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    for example in PROGRAMS {
        let mut command = cargo_workspace("run");
        command.args(["--release", "--example", example, "--"]).args(arguments);
        section(example, command)?;
    }
    Ok(())
}
