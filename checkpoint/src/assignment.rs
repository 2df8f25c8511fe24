//! The assignment of stored tensors to variables: the name logic of `init_from_checkpoint`.

use crate::{CheckpointReader, Error, Result, VariableSpec};
use std::collections::BTreeMap;

/// The source of a variable's initial value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assignment {
    /// The variable, or for a partitioned one each of its parts, by position in the list given.
    pub variable: usize,
    /// The name of the stored tensor.
    pub stored: String,
}

/// Resolves an assignment map against a checkpoint (S-319).
///
/// Map items are processed in the order of the stored names. Each is one of
/// - a stored tensor's name and a variable's name (or, for a partitioned variable, its full name),
/// - `a/` and `b/`: all variables below scope `b/`, found below `a/` in the checkpoint,
///
/// where `/` stands for the root on either side. Nothing is read. Later items replace earlier ones for
/// the same variable.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// use checkpoint::{CheckpointReader, VariableSpec, init_from_checkpoint};
/// let reader = CheckpointReader::open(&prefix)?;
/// let variables = [VariableSpec::new("encoder/w", tensor::DType::Float32, Some([2].into()))];
/// let assignments = init_from_checkpoint(&reader, &[("w", "encoder/w")], &variables)?;
/// assert_eq!(assignments[0].stored, "w");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] with TensorFlow's wording for a key that "is not found in" the checkpoint, a shape
/// that "doesn't match with shape of" the variable, a plain name mapped to a scope or the other way round,
/// and a variable that does not exist; [`Error::DTypeMismatch`].
pub fn init_from_checkpoint(
    reader: &CheckpointReader,
    map: &[(&str, &str)],
    variables: &[VariableSpec],
) -> Result<Vec<Assignment>> {
    let stored: BTreeMap<String, _> =
        reader.variables().into_iter().map(|info| (info.name.clone(), info)).collect();
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    let mut items: Vec<_> = map.to_vec();
    // The sort is stable and by the stored name alone, so of two items for one variable the same one wins in
    // every run, whichever container of the caller the list came from.
    items.sort_by_key(|item| item.0);
    for (from, to) in items {
        let pairs = match (scope(from), scope(to)) {
            (Some(from), Some(to)) => below(from, to, variables),
            (None, None) => named(from, to, variables)?,
            _ => {
                return Err(Error::Invalid(format!(
                    "a scope can only be mapped to a scope, not {from:?} to {to:?}"
                )));
            }
        };
        for (position, key) in pairs {
            let variable = &variables[position];
            let Some(info) = stored.get(&key) else {
                let path = reader.path().display();
                return Err(Error::Invalid(format!(
                    "tensor {key} ({:?} in {path}) is not found in {path}",
                    variable.name
                )));
            };
            check(variable, info)?;
            found.insert(position, key);
        }
    }
    Ok(found.into_iter().map(|(variable, stored)| Assignment { variable, stored }).collect())
}

/// Returns the prefix that a scope stands for.
fn scope(name: &str) -> Option<&str> {
    if name == "/" { Some("") } else { name.ends_with('/').then_some(name) }
}

/// Returns all variables of a scope.
fn below(from: &str, to: &str, variables: &[VariableSpec]) -> Vec<(usize, String)> {
    let inside = variables.iter().enumerate().filter_map(|(i, variable)| {
        let rest = variable.key.strip_prefix(to)?;
        Some((i, format!("{from}{rest}")))
    });
    inside.collect()
}

fn named(from: &str, to: &str, variables: &[VariableSpec]) -> Result<Vec<(usize, String)>> {
    // A caller may pass the name of the variable's tensor, which TensorFlow's `Variable.name` is.
    let to = to.strip_suffix(":0").unwrap_or(to);
    let matching =
        // The parts of a partitioned variable have names of their own and one key, so the key finds all of
        // them.
        variables.iter().enumerate().filter(|(_, variable)| variable.name == to || variable.key == to);
    let pairs: Vec<_> = matching.map(|(i, _)| (i, from.to_owned())).collect();
    if pairs.is_empty() {
        return Err(Error::Invalid(format!("there is no variable {to:?} to be initialized from {from:?}")));
    }
    Ok(pairs)
}

fn check(variable: &VariableSpec, info: &crate::TensorInfo) -> Result<()> {
    if variable.dtype != info.dtype {
        let (name, expected, found) = (info.name.clone(), variable.dtype, info.dtype);
        return Err(Error::DTypeMismatch { name, expected, found });
    }
    // A part is read out of the stored whole, so the shape to compare is that of the whole variable.
    let expected = match (&variable.slice, &variable.shape) {
        (Some((full, _)), _) => full,
        (None, Some(shape)) => shape,
        (None, None) => return Ok(()),
    };
    if *expected == info.shape {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "shape of variable {} ({expected}) doesn't match with shape of tensor {} ({}) from checkpoint",
        variable.name, info.name, info.shape
    )))
}
