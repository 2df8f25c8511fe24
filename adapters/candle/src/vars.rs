//! Named variables as something that is saved.

use crate::convert::{dtype, from_candle, to_candle};
use crate::failed;
use candle_core::Var;
use candle_nn::VarMap;
use checkpoint::{CheckpointReader, RestoreTarget, SaveSource, VariableSpec};
use std::collections::BTreeMap;
use std::path::Path;
use tensor::BufferPool;

/// Named `Var`s that are saved and restored: those of a `VarMap`, or any others. It shares the variables with the layers that were built
/// with them, which therefore see restored values.
///
/// A save copies all tensors into memory that the next save reuses.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::{VarBuilder, VarMap, linear};
/// use checkpoint::{Saver, SaverOptions, load_variable};
/// use monitored_candle::SavedVars;
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
///
/// let map = VarMap::new();
/// let layer = linear(2, 1, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("layer"))?;
/// let mut vars = SavedVars::from(&map);
/// let saver = Saver::new(SaverOptions::new());
/// let prefix = saver.save(&vars, folder.join("model"), None).unwrap();
/// assert_eq!(load_variable(&prefix, "layer.weight").unwrap().shape().dims(), [1, 2]);
/// saver.restore(&mut vars, &prefix).unwrap(); // sets the weights of `layer`
/// # drop(layer);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SavedVars {
    vars: BTreeMap<String, Var>,
    pool: BufferPool,
}

impl SavedVars {
    /// Collects variables under names.
    #[must_use]
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>) -> SavedVars {
        SavedVars { vars: vars.into_iter().collect(), pool: BufferPool::new() }
    }

    /// Returns the variables.
    #[must_use]
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Returns the number of bytes that hold copies of the variables, in use by a save or kept for the next one.
    #[must_use]
    pub fn copied_bytes(&self) -> usize {
        self.pool.held_bytes()
    }

    /// Sets all variables from a checkpoint or a safetensors file, such as one that `VarMap::save` wrote.
    ///
    /// # Errors
    /// [`TensorMissing`](checkpoint::Error::TensorMissing) for a variable that the file lacks; an error for one of another shape or
    /// dtype; the errors of reading.
    pub fn load(&mut self, path: impl AsRef<Path>) -> checkpoint::Result<()> {
        let reader = CheckpointReader::open(path)?;
        let read = |name: &String| Ok((name.clone(), reader.read(name)?));
        let values = self.vars.keys().map(read).collect::<checkpoint::Result<_>>()?;
        self.assign(values)
    }

    /// Adds a variable.
    pub fn insert(&mut self, name: impl Into<String>, var: Var) {
        self.vars.insert(name.into(), var);
    }
}

/// Takes all variables that the map has at this moment: build the layers first.
impl From<&VarMap> for SavedVars {
    fn from(map: &VarMap) -> SavedVars {
        let data = map.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        SavedVars::new(data.iter().map(|(name, var)| (name.clone(), var.clone())))
    }
}

impl SaveSource for SavedVars {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, tensor::Tensor)>> {
        let read = |(name, var): (&String, &Var)| {
            let copy =
                from_candle(var, &self.pool).map_err(|error| error.context(format!("variable '{name}'")))?;
            Ok((name.clone(), copy))
        };
        self.vars.iter().map(read).collect::<candle_core::Result<_>>().map_err(failed("read"))
    }
}

impl RestoreTarget for SavedVars {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |(name, var): (&String, &Var)| {
            // A save reports the dtypes that checkpoints do not have.
            let dtype = dtype(var.dtype()).unwrap_or(tensor::DType::Float32);
            VariableSpec::new(name, dtype, Some(var.dims().into()))
        };
        self.vars.iter().map(spec).collect()
    }

    fn assign(&mut self, values: Vec<(String, tensor::Tensor)>) -> checkpoint::Result<()> {
        for (name, value) in values {
            if let Some(var) = self.vars.get(&name) {
                let set = to_candle(&value, var.device()).and_then(|value| var.set(&value));
                set.map_err(|error| failed("assign")(error.context(format!("variable '{name}'"))))?;
            }
        }
        Ok(())
    }
}
