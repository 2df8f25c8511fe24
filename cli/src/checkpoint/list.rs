//! `monitored checkpoint list`: the tensors of a checkpoint, or the checkpoints of a folder.
//!
//! # Output
//!
//! One line for each tensor with name, dtype, shape and number of bytes, sorted by name, and a line with the sums.
//! Names are escaped, because they come from a file and a terminal would interpret control characters. With `--json`
//! the same is one object (`docs/json-output.md` describes it), in which names are unchanged.
//!
//! Only the index of a V2 checkpoint or the header of a safetensors file is read, so the time does not depend on the
//! size of the tensors. `--sha256` reads all data, one tensor at a time.

use super::hash::{of_bytes, sha256};
use super::row::Row;
use crate::output::{Failure, Outcome, Result, write_json};
use checkpoint::CheckpointReader;
use checkpoint::bundle::ReadOptions;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checkpoint: a prefix, a folder, or a `.safetensors` file.
    path: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    /// Add the SHA-256 of each tensor's elements. Reads all of them.
    #[arg(long)]
    sha256: bool,
}

impl Arguments {
    /// Lists the tensors. Nothing but the index is read, unless hashes are requested.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let reader = CheckpointReader::open_with(&self.path, ReadOptions::new().map(true))?;
        let rows = Row::all(&reader);
        if self.json {
            let rows = rows.iter().map(|row| self.json_row(&reader, row));
            let rows = rows.collect::<std::result::Result<Vec<_>, Failure>>()?;
            let (format, path, step) = (reader.format(), reader.path().to_string_lossy(), reader.step());
            let object = json!({"format": format, "path": path, "step": step, "tensors": rows});
            write_json(out, &object, true)?;
        } else {
            self.print(&reader, &rows, out)?;
        }
        Ok(Outcome::Good)
    }

    /// Describes a tensor as a JSON object.
    fn json_row(&self, reader: &CheckpointReader, row: &Row) -> std::result::Result<Value, Failure> {
        let Row { name, dtype, shape, bytes, .. } = row;
        let mut object = json!({"name": name, "dtype": dtype, "shape": shape.dims(), "bytes": bytes});
        if self.sha256 {
            object["sha256"] = json!(hash(reader, row)?);
        }
        Ok(object)
    }

    /// Prints a table of the tensors, and a summary below it.
    fn print(
        &self,
        reader: &CheckpointReader,
        rows: &[Row],
        out: &mut dyn Write,
    ) -> std::result::Result<(), Failure> {
        // Computed from the escaped names, which may be longer than the names.
        let width = |text: fn(&Row) -> String| rows.iter().map(|row| text(row).len()).max().unwrap_or(0);
        let name = width(|row| escaped(&row.name).to_string());
        let shape = width(|row| row.shape.to_string());
        for row in rows {
            let Row { bytes, shape: dims, .. } = row;
            let (text, dtype) = (escaped(&row.name), escaped(&row.dtype));
            write!(out, "{text:name$}  {dtype:10}  {:shape$}  {bytes:>12}", dims.to_string())?;
            if self.sha256 {
                write!(out, "  {}", hash(reader, row)?.unwrap_or_default())?;
            }
            writeln!(out)?;
        }
        // Includes tensors of unknown dtypes, whose bytes are in the file as well.
        let total: u64 = rows.iter().map(|row| row.bytes).sum();
        let (format, path) = (reader.format(), escaped(reader.path().display()));
        let unknown = match rows.iter().filter(|row| !row.known).count() {
            0 => String::new(),
            count => format!(" ({count} of unknown dtypes, which cannot be read)"),
        };
        writeln!(out, "{} tensors{unknown}, {total} bytes in {format} {path}", rows.len())?;
        Ok(())
    }
}

/// Returns the hash of a tensor. A tensor of an unknown dtype is hashed as the bytes that the checkpoint stores.
fn hash(reader: &CheckpointReader, row: &Row) -> std::result::Result<Option<String>, Failure> {
    Ok(if row.known {
        sha256(&reader.read(&row.name)?)
    } else {
        Some(of_bytes(&reader.read_bytes(&row.name)?))
    })
}
