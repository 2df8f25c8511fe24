//! `monitored checkpoint show`: the elements of a tensor.
//!
//! # Output
//!
//! A line with name, dtype and shape, then the elements in NumPy's form, or with `--stats` one line for each figure.
//! Statistics are computed in one pass in `f64`. Minimum, maximum, mean and standard deviation cover the finite
//! elements only; NaN and infinities are counted. Strings have the range of their lengths instead.
//!
//! A name that the checkpoint does not have is an error, which suggests the most similar name.

use super::row::Row;
use crate::output::{Outcome, Result};
use checkpoint::{CheckpointReader, Error};
use std::io::Write;
use std::path::PathBuf;
use tensor::Tensor;
use tensor::text::{escaped, nearest};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checkpoint: a prefix, a folder, or a `.safetensors` file.
    path: PathBuf,
    /// The tensor's name.
    name: String,
    /// Print statistics of the elements instead of the elements.
    #[arg(long)]
    stats: bool,
}

impl Arguments {
    /// Prints the tensor. Large tensors are summarized as NumPy does it: the first and last elements along each
    /// dimension.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let reader = CheckpointReader::open(&self.path)?;
        let rows = Row::all(&reader);
        let Some(row) = rows.iter().find(|row| row.name == self.name) else {
            // The names are at hand, so a mistyped one gets a suggestion.
            let meant = nearest(&self.name, rows.iter().map(|row| row.name.as_str()));
            let help = meant.map_or_else(String::new, |meant| format!("; is '{meant}' meant?"));
            let (name, path) = (&self.name, reader.path().display());
            return Err(Error::Invalid(format!("there is no tensor '{name}' in {path}{help}")).into());
        };
        let tensor = reader.read(&row.name)?;
        writeln!(out, "{} {} {}", escaped(&self.name), tensor.dtype(), tensor.shape())?;
        if self.stats {
            stats(&tensor, out)?;
        } else {
            writeln!(out, "{tensor}")?;
        }
        Ok(Outcome::Good)
    }
}

/// Prints counts of special values, and minimum, maximum, mean and standard deviation of the finite ones.
fn stats(tensor: &Tensor, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "elements  {}", tensor.elements())?;
    writeln!(out, "bytes     {}", tensor.byte_len())?;
    let Some(values) = tensor.iter_f64() else {
        if let Ok(strings) = tensor.as_strings() {
            let lengths = strings.iter().map(|string| string.len());
            // Zero for a tensor without elements, whose minimum does not exist.
            let (least, most) = (lengths.clone().min().unwrap_or(0), lengths.max().unwrap_or(0));
            writeln!(out, "lengths   {least} to {most}")?;
        }
        return Ok(());
    };
    let (mut nan, mut infinite, mut zero, mut count) = (0u64, 0u64, 0u64, 0u64);
    let (mut least, mut most, mut mean, mut squares) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0);
    for value in values {
        nan += u64::from(value.is_nan());
        infinite += u64::from(value.is_infinite());
        zero += u64::from(value == 0.0);
        if value.is_finite() {
            count += 1;
            (least, most) = (least.min(value), most.max(value));
            // Welford's update: exact enough for any number of elements, in one pass.
            let delta = value - mean;
            mean += delta / count as f64;
            squares += delta * (value - mean);
        }
    }
    writeln!(out, "nan       {nan}\ninfinite  {infinite}\nzero      {zero}")?;
    if count > 0 {
        // The deviation of all elements, as NumPy's default, rather than of a sample.
        let deviation = (squares / count as f64).sqrt();
        writeln!(out, "min       {least}\nmax       {most}\nmean      {mean}\nstd       {deviation}")?;
    }
    Ok(())
}
