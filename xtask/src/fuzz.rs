//! Damaged files for every reader, and operations by chance for the engine, for a while. A finding names its seed.

use crate::shell::{cargo, section};
use anyhow::Result;

/// The programs: their crates and names. Each knows some of the targets and passes over the others.
const PROGRAMS: [(&str, &str); 4] = [
    ("monitored-checkpoint", "fuzz_formats"),
    ("graph-def", "fuzz_graphs"),
    ("saved-model", "fuzz_models"),
    ("embedded-engine", "fuzz_ops"),
];

/// Passes its arguments on to the fuzzing programs; see there.
pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    for (name, example) in PROGRAMS {
        let mut command = cargo(&["run", "--quiet", "--release", "-p", name, "--all-features"]);
        command.args(["--example", example, "--"]).args(arguments);
        section("fuzz", command)?;
    }
    Ok(())
}
