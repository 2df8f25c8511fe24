//! `monitored checkpoint diff`: tensors that differ between two checkpoints.
//!
//! The exit codes are those of the program `diff`: 0 for equal checkpoints, 1 for different ones, 2 for an error.
//! Tensors are compared by name, then by dtype and shape, and only then by value.
//!
//! # Comparison
//!
//! Checkpoints of different formats can be compared. A partitioned variable equals a whole one with the same
//! elements, because slices are joined first. At most one pair of tensors is in memory; both files are mapped.
//!
//! With `--tolerance`, the difference is absolute, and NaN equals NaN. Numbers are compared as `f64`, which
//! represents every integer up to 2^53; larger integers that differ by less than their spacing count as equal only
//! with a tolerance, since without one their bits are compared first.
//!
//! # Output
//!
//! One line for each tensor that differs, in the order of the names of the first checkpoint, then the tensors
//! that only the second one has:
//!
//! | line | meaning |
//! |---|---|
//! | `w: only in A` | the other checkpoint has no tensor of this name |
//! | `w: dtype float32 against float64` | elements are not compared, and neither are they if shapes differ |
//! | `w: 3 of 10 elements differ, by up to 0.5` | the largest absolute difference, without those to NaN |
//! | `w: 1 of 4 strings differ` | strings have no size of a difference |
//! | `w: bytes differ` | a tensor of a dtype that cannot be read |

use super::row::Row;
use crate::output::{Failure, Outcome, Result};
use checkpoint::CheckpointReader;
use checkpoint::bundle::ReadOptions;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use tensor::Tensor;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The first checkpoint: a prefix, a folder, or a `.safetensors` file.
    a: PathBuf,
    /// The second checkpoint.
    b: PathBuf,
    /// Treat numbers as equal if they differ by at most this much. NaN equals NaN.
    #[arg(long, value_name = "X", value_parser = tolerance)]
    tolerance: Option<f64>,
}

/// Parses a tolerance, which must not be negative.
fn tolerance(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    // Written as `>=`, which NaN fails.
    if number >= 0.0 { Ok(number) } else { Err("it must be zero or more".to_owned()) }
}

impl Arguments {
    /// Compares the checkpoints. Failures get the exit code 2.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        // As with the program `diff`: 1 means different, 2 means trouble.
        self.compare(out).map_err(|failure| failure.with_code(2))
    }

    /// Prints a line for each difference.
    fn compare(&self, out: &mut dyn Write) -> Result {
        let options = ReadOptions::new().map(true);
        let a = CheckpointReader::open_with(&self.a, options.clone())?;
        let b = CheckpointReader::open_with(&self.b, options)?;
        let by_name = |reader: &CheckpointReader| -> BTreeMap<String, Row> {
            Row::all(reader).into_iter().map(|row| (row.name.clone(), row)).collect()
        };
        // What remains of `b` after all names of `a` is only there.
        let (in_a, mut in_b) = (by_name(&a), by_name(&b));
        let mut different = 0;
        for (name, row) in &in_a {
            let difference = match in_b.remove(name) {
                None => Some(format!("only in {}", escaped(self.a.display()))),
                Some(other) => self.difference(&a, &b, row, &other)?,
            };
            if let Some(difference) = difference {
                writeln!(out, "{}: {difference}", escaped(name))?;
                different += 1;
            }
        }
        for name in in_b.keys() {
            writeln!(out, "{}: only in {}", escaped(name), escaped(self.b.display()))?;
            different += 1;
        }
        Ok(if different == 0 { Outcome::Good } else { Outcome::Bad })
    }

    /// Describes the difference between two tensors of one name; `None` if they are equal.
    fn difference(
        &self,
        a: &CheckpointReader,
        b: &CheckpointReader,
        row: &Row,
        other: &Row,
    ) -> std::result::Result<Option<String>, Failure> {
        // The cheapest differences first: they need no data.
        if row.dtype != other.dtype {
            return Ok(Some(format!("dtype {} against {}", escaped(&row.dtype), escaped(&other.dtype))));
        }
        if row.shape != other.shape {
            return Ok(Some(format!("shape {} against {}", row.shape, other.shape)));
        }
        if !row.known {
            // Only the bytes of the elements are known.
            let same = a.read_bytes(&row.name)? == b.read_bytes(&row.name)?;
            return Ok((!same).then(|| "bytes differ".to_owned()));
        }
        let (a, b) = (a.read(&row.name)?, b.read(&row.name)?);
        Ok(values(&a, &b, self.tolerance))
    }
}

/// Describes the difference between two tensors of one dtype and shape; `None` if they are equal.
///
/// Equal bytes are equal in any case, which decides most comparisons without a look at the numbers. Without a
/// tolerance, numbers are compared by their bits: then 0 and -0 differ, and NaN equals only the same NaN.
fn values(a: &Tensor, b: &Tensor, tolerance: Option<f64>) -> Option<String> {
    if same_bits(a, b) {
        return None;
    }
    let elements = a.elements();
    let (Some(a_values), Some(b_values)) = (a.iter_f64(), b.iter_f64()) else {
        return Some(match (a.as_strings(), b.as_strings()) {
            (Ok(a), Ok(b)) => {
                let count = a.iter().zip(b).filter(|(a, b)| a != b).count();
                format!("{count} of {elements} strings differ")
            }
            _ => "bytes differ".to_owned(),
        });
    };
    let (mut count, mut most) = (0u64, 0.0f64);
    for (a, b) in a_values.zip(b_values) {
        let difference = (a - b).abs();
        // Without a tolerance, NaN and -0 are compared by their bits.
        let equal = match tolerance {
            Some(tolerance) => a == b || difference <= tolerance || (a.is_nan() && b.is_nan()),
            None => a.to_bits() == b.to_bits(),
        };
        // Elements with NaN on one side count as different, but say nothing about the size of the difference.
        count += u64::from(!equal);
        most = if difference.is_nan() { most } else { most.max(difference) };
    }
    if count == 0 && tolerance.is_some() {
        return None;
    }
    // Tensors of other bits whose elements are equal as `f64`, such as large integers, still differ in one
    // element at least.
    Some(format!("{} of {elements} elements differ, by up to {most}", count.max(1)))
}

/// Returns true if all elements have the same bytes.
fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    match (a.as_bytes(), b.as_bytes()) {
        (Ok(a), Ok(b)) => a == b,
        _ => matches!((a.as_strings(), b.as_strings()), (Ok(a), Ok(b)) if a == b),
    }
}
