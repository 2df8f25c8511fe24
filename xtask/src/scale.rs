//! The growth of costs with the size of a graph.

use crate::shell::{cargo_workspace, section};
use anyhow::{Result, bail};

/// Runs `benches/scale.rs`, which prints each case at three sizes with its exponent, and fails where one is too large.
pub(crate) fn scale(arguments: &[String]) -> Result<()> {
    let mut command = cargo_workspace("bench");
    match arguments {
        [] => {}
        // The profile of `cargo run --release`: slower than the benchmarks', of which a growth says the same, and compiled sooner.
        [flag] if flag == "--release" => {
            command.args(["--profile", "release"]);
        }
        other => bail!("no option {}; there is --release", other.join(" ")),
    }
    command.args(["--bench", "scale"]);
    section("scale", command)
}
