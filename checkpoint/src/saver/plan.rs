//! Reports of planned and completed restores, for people.

use super::RestoreReport;
use std::fmt;
use std::path::PathBuf;
use tensor::text::escaped;
use tensor::{DType, Shape};

/// A restore that was planned without reading a tensor, and that can be printed.
///
/// ```text
/// from train/model.ckpt-300
///   features/w  <- encoder/w  float32 [784, 10]
///   head/w      float32 [10] (stored as [1, 10])
/// missing, left alone: head/b
/// in the checkpoint, not wanted: old/w
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestorePlan {
    /// The checkpoint.
    pub prefix: PathBuf,
    /// The variables that would be set.
    pub variables: Vec<PlannedVariable>,
    /// Names of the variables that the checkpoint lacks.
    pub missing: Vec<String>,
    /// Names of tensors in the checkpoint that no variable wants.
    pub unexpected: Vec<String>,
}

/// A variable that a restore would set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedVariable {
    /// The name of the variable.
    pub name: String,
    /// The name of its tensor in the checkpoint.
    pub stored_as: String,
    /// The tensor's dtype.
    pub dtype: DType,
    /// The variable's shape, as far as it is known; otherwise that of the tensor.
    pub shape: Shape,
    /// The shape of the tensor, where it is another.
    pub stored_shape: Option<Shape>,
}

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", escaped(self.prefix.display()))?;
        let width = self.variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0);
        for PlannedVariable { name, stored_as, dtype, shape, stored_shape } in &self.variables {
            write!(f, "\n  {name:width$}")?;
            if stored_as != name {
                write!(f, "  <- {stored_as}")?;
            }
            write!(f, "  {dtype} {shape}")?;
            if let Some(stored) = stored_shape {
                write!(f, " (stored as {stored})")?;
            }
        }
        listed(f, "missing, left alone", &self.missing)?;
        listed(f, "in the checkpoint, not wanted", &self.unexpected)
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restored {} variable(s) from {}", self.restored.len(), escaped(self.prefix.display()))?;
        listed(f, "stored with another shape", &self.reshaped)?;
        listed(f, "missing", &self.missing)?;
        listed(f, "in the checkpoint, not wanted", &self.unexpected)?;
        for (prefix, reason) in &self.rejected {
            write!(f, "\nrejected {}: {reason}", escaped(prefix.display()))?;
        }
        Ok(())
    }
}

fn listed(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() { Ok(()) } else { write!(f, "\n{what}: {}", escaped(names.join(", "))) }
}
