//! Damaged files for every reader, and operations by chance for the engine, for a while. A finding names its seed.

use crate::shell::{cargo_workspace, root, section, target};
use anyhow::Result;
use std::process::Command;

/// The programs. Each knows some of the targets and passes over the others.
const PROGRAMS: [&str; 4] = ["fuzz_formats", "fuzz_graphs", "fuzz_models", "fuzz_ops"];

/// Passes its arguments on to the fuzzing programs; see there.
pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    let mut build = cargo_workspace("build");
    build.arg("--release").args(PROGRAMS.iter().flat_map(|program| ["--example", program]));
    section("build the fuzzers", build)?;
    for program in PROGRAMS {
        let mut command = Command::new(target().join("release").join("examples").join(program));
        command.args(arguments).current_dir(root());
        section(program, command)?;
    }
    Ok(())
}
