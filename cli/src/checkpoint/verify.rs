//! `monitored checkpoint verify`: compares the checksums of all tensors.
//!
//! Every byte of the checkpoint is read, so the time is that of reading the files. The exit code is 1 if anything is
//! damaged.
//!
//! # What is compared
//!
//! | part | check |
//! |---|---|
//! | the index | its own checksums, when it is opened |
//! | each tensor | the CRC-32C in the index, and the size of the data files |
//! | the session state | its checksums, if there is one |
//! | a safetensors file | header, offsets and sizes; the format has no checksums |
//!
//! A tensor of an unknown dtype is reported, but is not a problem: a newer program may have written it. All problems
//! are printed, not only the first.

use crate::output::{Outcome, Result, chain};
use checkpoint::CheckpointReader;
use checkpoint::bundle::BundleReader;
use std::io::Write;
use std::path::PathBuf;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checkpoint: a prefix, a folder, or a `.safetensors` file.
    path: PathBuf,
}

impl Arguments {
    /// Prints a line for each damaged tensor, and for each that cannot be verified because its dtype is unknown.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let reader = CheckpointReader::open(&self.path)?;
        // All problems are collected: their number shows whether a part of the checkpoint can still be used.
        let problems = reader.verify();
        for problem in &problems {
            let name = problem.name.as_deref().unwrap_or("(the checkpoint)");
            writeln!(out, "{}: {}", escaped(name), escaped(chain(&problem.error)))?;
        }
        let unknown = reader.unsupported_tensors();
        for tensor in &unknown {
            let (name, dtype) = (escaped(&tensor.name), escaped(&tensor.dtype));
            writeln!(out, "{name}: not verified, its dtype {dtype} is not known here")?;
        }
        let mut bad = problems.len();
        // Only bundles have a sidecar.
        if let CheckpointReader::Bundle(bundle) = &reader {
            bad += usize::from(session_state_is_bad(bundle, out)?);
        }
        if bad > 0 {
            writeln!(out, "{}: {bad} problems", escaped(reader.path().display()))?;
            return Ok(Outcome::Bad);
        }
        let not_verified = match unknown.len() {
            0 => String::new(),
            count => format!(", {count} of unknown dtypes are not verified"),
        };
        writeln!(
            out,
            "{}: {} tensors are intact{not_verified}",
            escaped(reader.path().display()),
            reader.variables().len()
        )?;
        Ok(Outcome::Good)
    }
}

/// Reads the sidecar of a bundle. A missing one is not damage: checkpoints of other programs have none.
fn session_state_is_bad(bundle: &BundleReader, out: &mut dyn Write) -> std::io::Result<bool> {
    let Err(error) = checkpoint::read_session_state(bundle.prefix()) else { return Ok(false) };
    writeln!(out, "(the session state): {}", escaped(chain(&error)))?;
    Ok(true)
}
