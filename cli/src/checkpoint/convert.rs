//! `monitored checkpoint convert`: converts between TensorFlow's checkpoints and safetensors.
//!
//! Tensors are copied one at a time from a memory map, so a checkpoint larger than the memory can be converted.
//! Checksums are verified while reading: a damaged tensor is an error, and no destination is left behind.
//!
//! # Formats
//!
//! | from | to | changes |
//! |---|---|---|
//! | V2, V1 | safetensors | slices of partitioned variables are joined |
//! | safetensors | V2 | metadata are not kept, because the format has no place for them |
//!
//! Names, dtypes and elements are the same on both sides. Safetensors has no type for strings, complex128 and
//! quantized integers, and none of four bits: `--drop-unsupported` leaves the former out, and `--widen-int4` stores
//! the latter in bytes. The original dtype is then recorded as metadata under `dtype of NAME`.
//!
//! # Failures
//!
//! The destination appears at the end in one step, so an interrupted conversion leaves an earlier file unchanged. A
//! destination that is the source is refused, since its data would be replaced while they are read.
//!
//! V1 checkpoints are read and not written: TensorFlow itself writes V2 by default.

use crate::output::{Failure, Outcome, Result};
use checkpoint::bundle::{BundleWriter, ReadOptions};
use checkpoint::safetensors::{SafetensorsOptions, write_safetensors};
use checkpoint::{CheckpointReader, Error, UnknownTensor, is_same_folder};
use std::io::Write;
use std::path::{Path, PathBuf};
use tensor::text::escaped;
use tensor::{DType, Tensor};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checkpoint to read: a prefix, a folder, or a `.safetensors` file.
    source: PathBuf,
    /// The new prefix, or the new `.safetensors` file.
    destination: PathBuf,
    /// The format to write.
    #[arg(long)]
    to: Format,
    /// Skip tensors that the format cannot hold, instead of failing: in safetensors strings, complex128
    /// and quantized ones; in both formats those with dtypes that this program does not know, such as F4.
    #[arg(long)]
    drop_unsupported: bool,
    /// Store int4 and uint4 tensors as I8 and U8 in safetensors.
    #[arg(long)]
    widen_int4: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// TensorFlow's V2 format.
    Bundle,
    /// One safetensors file.
    Safetensors,
}

impl Arguments {
    /// Converts the checkpoint, and prints the dropped tensors and the number of written ones.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        // Mapped and verified: damaged data is not copied, and at most one tensor is in memory.
        let reader = CheckpointReader::open_with(&self.source, ReadOptions::new().map(true))?;
        // Before anything is created: the destination of a wrong call may hold another checkpoint.
        self.check(&reader)?;
        for UnknownTensor { name, dtype, .. } in reader.unsupported_tensors() {
            if !self.drop_unsupported {
                // Fails with the reason.
                reader.read(&name)?;
            }
            let (name, dtype) = (escaped(name), escaped(dtype));
            writeln!(out, "dropped {name} of dtype {dtype}, which is unknown")?;
        }
        let written = match self.to {
            Format::Bundle => to_bundle(&reader, &self.destination)?,
            Format::Safetensors => self.to_safetensors(&reader, out)?,
        };
        writeln!(out, "{}: {written} tensors", escaped(self.destination.display()))?;
        Ok(Outcome::Good)
    }

    /// Refuses a destination whose ending contradicts the format, and one that is the source itself. The second check
    /// compares folders by where they lead.
    fn check(&self, reader: &CheckpointReader) -> std::result::Result<(), Error> {
        let destination = escaped(self.destination.display());
        let is_safetensors = self.destination.extension().is_some_and(|ending| ending == "safetensors");
        if is_safetensors != (self.to == Format::Safetensors) {
            let rule = if is_safetensors { "does not end" } else { "ends" };
            return Err(Error::Invalid(format!(
                "the destination is {destination}, but a checkpoint of the requested format {rule} with .safetensors"
            )));
        }
        // A name without a folder has an empty parent, which stands for the current folder.
        let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
        // Compared by where the folders lead, because the same folder has many spellings, and links.
        let is_source = self.destination.file_name() == reader.path().file_name()
            && is_same_folder(folder(&self.destination), folder(reader.path()));
        if is_source {
            let text =
                format!("the destination {destination} is the checkpoint that is read: choose another one");
            return Err(Error::Invalid(text));
        }
        Ok(())
    }

    /// Writes one safetensors file. The metadata `format: pt` lets PyTorch load it; the original dtype of widened
    /// tensors is stored as metadata, too.
    fn to_safetensors(
        &self,
        reader: &CheckpointReader,
        out: &mut dyn Write,
    ) -> std::result::Result<usize, Failure> {
        let source = reader.path().file_name().unwrap_or_default().to_string_lossy();
        let options = SafetensorsOptions::new().widen_int4(self.widen_int4);
        let mut options = options.metadata("format", "pt").metadata("source", source);
        // The tensors are collected for one file, but most of them only refer to the mapped source.
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for info in reader.variables() {
            if self.drop_unsupported && !options.supports(info.dtype) {
                writeln!(out, "dropped {} of dtype {}", escaped(&info.name), info.dtype)?;
                continue;
            }
            if matches!(info.dtype, DType::Int4 | DType::UInt4) {
                // Without the note a reader could not tell widened numbers from real bytes.
                options = options.metadata(format!("dtype of {}", info.name), info.dtype.name());
            }
            let tensor = reader.read(&info.name)?;
            tensors.push((info.name, tensor));
        }
        write_safetensors(&self.destination, &tensors, &options)?;
        Ok(tensors.len())
    }
}

/// Writes a V2 checkpoint with one data file, and returns the number of tensors.
fn to_bundle(reader: &CheckpointReader, destination: &Path) -> std::result::Result<usize, Error> {
    // The writer uses temporary names until `finish`, so an error on the way leaves no checkpoint.
    let mut writer = BundleWriter::create(destination)?;
    let tensors = reader.variables();
    for info in &tensors {
        writer.add(&info.name, &reader.read(&info.name)?)?;
    }
    writer.finish()?;
    Ok(tensors.len())
}
