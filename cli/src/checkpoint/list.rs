//! `monitored checkpoint list`.

use super::hash::sha256;
use crate::output::{Failure, Outcome, Result};
use checkpoint::bundle::ReadOptions;
use checkpoint::{CheckpointReader, TensorInfo};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A checkpoint's prefix, a folder, or a `.safetensors` file.
    path: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    /// Add the SHA-256 of each tensor's elements; reads all of them.
    #[arg(long)]
    sha256: bool,
}

impl Arguments {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let reader = CheckpointReader::open_with(&self.path, ReadOptions::new().map(true))?;
        let tensors = reader.variables();
        if self.json {
            let rows = tensors.iter().map(|info| self.json_row(&reader, info));
            let rows = rows.collect::<std::result::Result<Vec<_>, Failure>>()?;
            let (format, path, step) = (reader.format(), reader.path().to_string_lossy(), reader.step());
            let object = json!({"format": format, "path": path, "step": step, "tensors": rows});
            serde_json::to_writer_pretty(&mut *out, &object)?;
            writeln!(out)?;
        } else {
            self.print(&reader, &tensors, out)?;
        }
        Ok(Outcome::Good)
    }

    fn json_row(&self, reader: &CheckpointReader, info: &TensorInfo) -> std::result::Result<Value, Failure> {
        let (dtype, shape) = (info.dtype.name(), info.shape.dims());
        let mut row = json!({"name": info.name, "dtype": dtype, "shape": shape, "bytes": info.bytes});
        if self.sha256 {
            row["sha256"] = json!(sha256(&reader.read(&info.name)?));
        }
        Ok(row)
    }

    fn print(
        &self,
        reader: &CheckpointReader,
        tensors: &[TensorInfo],
        out: &mut dyn Write,
    ) -> std::result::Result<(), Failure> {
        let width = |text: fn(&TensorInfo) -> String| tensors.iter().map(|info| text(info).len()).max();
        let name = width(|info| escaped(&info.name).to_string()).unwrap_or(0);
        let shape = width(|info| info.shape.to_string()).unwrap_or(0);
        for info in tensors {
            let TensorInfo { dtype, bytes, .. } = info;
            write!(
                out,
                "{:name$}  {dtype:10}  {:shape$}  {bytes:>12}",
                escaped(&info.name),
                info.shape.to_string()
            )?;
            if self.sha256 {
                write!(out, "  {}", sha256(&reader.read(&info.name)?).unwrap_or_default())?;
            }
            writeln!(out)?;
        }
        let total: u64 = tensors.iter().map(|info| info.bytes).sum();
        let (format, path) = (reader.format(), escaped(reader.path().display()));
        writeln!(out, "{} tensors, {total} bytes in {format} {path}", tensors.len())?;
        Ok(())
    }
}
