//! Damaged files for every reader, for a while. A finding names the seed of its input.

use crate::shell::{cargo, section};
use anyhow::Result;

/// Passes its arguments on to the fuzzing program; see there.
pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--release", "-p", "checkpoint", "--all-features"]);
    command.args(["--example", "fuzz_formats", "--"]).args(arguments);
    section("fuzz", command)
}
