//! Named variables as something that is saved.

use crate::convert::{dtype, from_candle, to_candle};
use crate::failed;
use candle_core::Var;
use candle_nn::VarMap;
use checkpoint::{RestoreTarget, SaveSource, VariableSpec};
use std::collections::BTreeMap;
use tensor::BufferPool;

/// Named `Var`s that are saved and restored: those of a `VarMap`, or any others. It holds the variables themselves, so what is
/// restored is seen by the layers that were made with them.
///
/// A save copies all of them into memory that the next save uses again.
#[derive(Clone, Debug, Default)]
pub struct SavedVars {
    vars: BTreeMap<String, Var>,
    pool: BufferPool,
}

impl SavedVars {
    /// These variables, under these names.
    #[must_use]
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>) -> SavedVars {
        SavedVars { vars: vars.into_iter().collect(), pool: BufferPool::new() }
    }

    /// Returns the variables.
    #[must_use]
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Adds a variable.
    pub fn insert(&mut self, name: impl Into<String>, var: Var) {
        self.vars.insert(name.into(), var);
    }
}

/// All variables that the map has now: make the layers first.
impl From<&VarMap> for SavedVars {
    fn from(map: &VarMap) -> SavedVars {
        let data = map.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        SavedVars::new(data.iter().map(|(name, var)| (name.clone(), var.clone())))
    }
}

impl SaveSource for SavedVars {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, tensor::Tensor)>> {
        let read = |(name, var): (&String, &Var)| Ok((name.clone(), from_candle(var, &self.pool)?));
        self.vars.iter().map(read).collect::<candle_core::Result<_>>().map_err(failed("read"))
    }
}

impl RestoreTarget for SavedVars {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |(name, var): (&String, &Var)| {
            // A save says that it has no dtype for it.
            let dtype = dtype(var.dtype()).unwrap_or(tensor::DType::Float32);
            VariableSpec::new(name, dtype, Some(var.dims().into()))
        };
        self.vars.iter().map(spec).collect()
    }

    fn assign(&mut self, values: Vec<(String, tensor::Tensor)>) -> checkpoint::Result<()> {
        for (name, value) in values {
            if let Some(var) = self.vars.get(&name) {
                let set = to_candle(&value, var.device()).and_then(|value| var.set(&value));
                set.map_err(failed("assign"))?;
            }
        }
        Ok(())
    }
}
