//! A module with its optimizer.

use crate::convert::{dtype, from_burn, to_burn};
use crate::failed;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use burn_pack::{DType as BurnType, Reader, Scalar, Shape, Writer};
use checkpoint::{RestoreTarget, SaveSource, VariableSpec};
use std::collections::BTreeMap;
use tensor::DType;

/// The name of the optimizer's step in checkpoints.
const STEP: &str = "optimizer_step";
/// The name of the list of parameters that the optimizer has state for.
const STATES: &str = "optimizer_states";
/// The suffix of burn's scalars with the ranks of parameters, which follow from the module.
const RANK: &str = ".__rank";

/// A module with its optimizer, to be a saved object. Checkpoints hold the parameters under their names, the optimizer's state as
/// `<parameter>/<field>`, and the optimizer's step as `optimizer_step`.
#[derive(Debug)]
pub struct BurnModel<M> {
    module: M,
    optimizer: Optimizer,
    step: u64,
    parameters: Vec<Parameter>,
    slots: Vec<Slot>,
}

/// burn's optimizer, which has no `Debug`.
#[derive(Clone)]
struct Optimizer(ModuleOptimizer);

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ModuleOptimizer")
    }
}

/// A parameter of the module.
#[derive(Clone, Debug)]
struct Parameter {
    path: String,
    id: u64,
    kind: BurnType,
    shape: Shape,
}

/// A part of the optimizer's state of one parameter.
#[derive(Clone, Debug)]
struct Slot {
    /// burn's key, `<id>.<field>`.
    key: String,
    /// The name in checkpoints.
    name: String,
    id: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Tensor {
        kind: BurnType,
        shape: Shape,
    },
    Scalar(Scalar),
    /// A scalar that checkpoints do not hold.
    Fixed(Scalar),
}

/// The optimizer's state, by burn's keys.
#[derive(Default)]
struct State {
    tensors: BTreeMap<String, burn_pack::Tensor>,
    scalars: BTreeMap<String, Scalar>,
    paths: BTreeMap<String, String>,
}

impl State {
    fn of(optimizer: &ModuleOptimizer) -> Result<State, String> {
        let bytes = optimizer.into_bytes().map_err(|error| error.to_string())?;
        let reader = Reader::from_bytes(bytes).map_err(|error| error.to_string())?;
        let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
        let tensors = reader.into_tensors().map_err(|error| error.to_string())?;
        let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Ok(State { tensors, scalars, paths })
    }

    fn into_record(self) -> Result<OptimizerRecord, String> {
        let mut writer = Writer::new(self.tensors.into_values().collect());
        for (key, value) in &self.scalars {
            writer = writer.with_scalar(key, *value);
        }
        for (key, value) in &self.paths {
            writer = writer.with_metadata(key, value);
        }
        let bytes = writer.into_bytes().map_err(|error| error.to_string())?;
        OptimizerRecord::from_bytes(bytes).map_err(|error| error.to_string())
    }

    /// Returns true if the optimizer has state for a parameter.
    fn has(&self, id: u64) -> bool {
        self.scalars.contains_key(&format!("{id}{RANK}"))
    }
}

/// Registers gradients of zero for all floating-point parameters.
struct Zeros(GradientsParams);

impl ModuleVisitor for Zeros {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        self.0.register(parameter.id, value.inner().zeros_like());
    }
}

impl<M: Module> BurnModel<M> {
    /// Creates a model of a module and an optimizer, which may have state already.
    ///
    /// # Errors
    /// An error for a parameter whose dtype checkpoints do not have, and for two tensors that would have one name in checkpoints.
    pub fn new(module: M, optimizer: ModuleOptimizer) -> session_core::Result<BurnModel<M>> {
        let made = BurnModel::made(module, optimizer);
        made.map_err(session_core::Error::value)
    }

    fn made(module: M, optimizer: ModuleOptimizer) -> Result<BurnModel<M>, String> {
        let mut parameters = Vec::new();
        for tensor in tensors_of(&module)? {
            let (path, id) = (tensor.name, tensor.param_id.unwrap_or_default());
            dtype(tensor.dtype).map_err(|error| format!("parameter '{path}': {error}"))?;
            parameters.push(Parameter { path, id, kind: tensor.dtype, shape: tensor.shape });
        }
        parameters.sort_by(|one, other| one.path.cmp(&other.path));
        let slots = slots(&module, &optimizer, &parameters)?;
        let names = parameters.iter().map(|parameter| &*parameter.path);
        let names = names.chain(slots.iter().filter(|slot| slot.is_saved()).map(|slot| &*slot.name));
        let mut seen = std::collections::BTreeSet::from([STEP, STATES]);
        for name in names {
            if !seen.insert(name) {
                return Err(format!("two tensors would be saved as '{name}': rename the parameter"));
            }
        }
        Ok(BurnModel { module, optimizer: Optimizer(optimizer), step: 0, parameters, slots })
    }

    /// Returns the module.
    #[must_use]
    pub fn module(&self) -> &M {
        &self.module
    }

    /// Returns the number of updates.
    #[must_use]
    pub fn optimizer_step(&self) -> u64 {
        self.step
    }

    /// Computes the gradients of a loss and updates the parameters.
    pub fn backward_step(&mut self, learning_rate: f64, loss: Tensor<1>) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.module);
        self.apply(learning_rate, gradients);
    }

    /// Updates the parameters by gradients that the program has computed, such as those that burn's `GradientsAccumulator` summed up
    /// within the step.
    pub fn apply(&mut self, learning_rate: f64, gradients: GradientsParams) {
        self.module = self.optimizer.0.step(learning_rate, self.module.clone(), gradients);
        self.step += 1;
    }

    /// Reads all tensors, by their names in checkpoints.
    fn read(&self) -> Result<BTreeMap<String, tensor::Tensor>, String> {
        let mut values = BTreeMap::new();
        for tensor in tensors_of(&self.module)? {
            let (path, kind, shape, _, bytes) = tensor.into_parts().map_err(|error| error.to_string())?;
            values.insert(path, from_burn(kind, &shape, &bytes)?);
        }
        let mut state = State::of(&self.optimizer.0)?;
        let present = self.parameters.iter().map(|parameter| state.has(parameter.id)).collect::<Vec<bool>>();
        for slot in self.slots.iter().filter(|slot| slot.is_saved()) {
            values.insert(slot.name.clone(), slot.value(&mut state)?);
        }
        values.insert(STATES.to_owned(), tensor::Tensor::from(present));
        let step = i64::try_from(self.step).unwrap_or(i64::MAX);
        values.insert(STEP.to_owned(), tensor::Tensor::from(step));
        Ok(values)
    }

    /// Sets the module and the optimizer to these values.
    fn write(&mut self, values: &BTreeMap<String, tensor::Tensor>) -> Result<(), String> {
        let value = |name: &str| values.get(name).ok_or_else(|| format!("there is no value for '{name}'"));
        let tensors = self.parameters.iter().map(|parameter| {
            let Parameter { path, id, kind, .. } = parameter;
            to_burn(path.clone(), *kind, *id, value(path)?)
        });
        let tensors = tensors.collect::<Result<Vec<_>, String>>()?;
        let bytes = Writer::new(tensors).into_bytes().map_err(|error| error.to_string())?;
        let record = ModuleRecord::from_bytes(bytes).map_err(|error| error.to_string())?;
        let module = self.module.clone().try_load_record(record).map_err(|error| error.to_string())?;

        let present = value(STATES)?.to_vec::<bool>().map_err(|error| error.to_string())?;
        let mut state = State::default();
        for (parameter, _) in self.parameters.iter().zip(present).filter(|(_, present)| *present) {
            let id = parameter.id;
            state.paths.insert(id.to_string(), parameter.path.clone());
            for slot in self.slots.iter().filter(|slot| slot.id == id) {
                slot.restore(&mut state, &value)?;
            }
        }
        let step = value(STEP)?.value::<i64>().map_err(|error| error.to_string())?;
        self.optimizer.0 = self.optimizer.0.clone().load_record(state.into_record()?);
        self.module = module;
        self.step = u64::try_from(step).unwrap_or_default();
        Ok(())
    }
}

/// Returns the tensors of a module, as burn's records hold them.
fn tensors_of<M: Module>(module: &M) -> Result<Vec<burn_pack::Tensor>, String> {
    let bytes = module.clone().into_record().into_bytes().map_err(|error| error.to_string())?;
    let reader = Reader::from_bytes(bytes).map_err(|error| error.to_string())?;
    reader.into_tensors().map_err(|error| error.to_string())
}

/// Returns the parts of the optimizer's state. It has them after its first update only, so a copy makes one with gradients of zero.
fn slots<M: Module>(
    module: &M,
    optimizer: &ModuleOptimizer,
    parameters: &[Parameter],
) -> Result<Vec<Slot>, String> {
    let mut zeros = Zeros(GradientsParams::new());
    module.visit(&mut zeros);
    let mut probe = optimizer.clone();
    probe.step(0.0, module.clone(), zeros.0);
    let state = State::of(&probe)?;
    let paths: BTreeMap<u64, &str> =
        parameters.iter().map(|parameter| (parameter.id, &*parameter.path)).collect();
    let slot = |key: &str, content: Content| -> Result<Slot, String> {
        let (id, field) = key.split_once('.').ok_or_else(|| format!("burn calls a state '{key}'"))?;
        let id = id.parse().map_err(|_| format!("burn calls a state '{key}'"))?;
        let path = paths.get(&id).ok_or_else(|| format!("the module has no parameter {id}"))?;
        Ok(Slot { key: key.to_owned(), name: format!("{path}/{field}"), id, content })
    };
    let mut slots = Vec::new();
    for (key, tensor) in &state.tensors {
        dtype(tensor.dtype)?;
        slots.push(slot(key, Content::Tensor { kind: tensor.dtype, shape: tensor.shape.clone() })?);
    }
    for (key, &scalar) in &state.scalars {
        let fixed = key.ends_with(RANK);
        slots.push(slot(key, if fixed { Content::Fixed(scalar) } else { Content::Scalar(scalar) })?);
    }
    Ok(slots)
}

impl Slot {
    fn is_saved(&self) -> bool {
        !matches!(self.content, Content::Fixed(_))
    }

    /// Returns the dtype and the shape in checkpoints.
    fn described(&self) -> (DType, Vec<usize>) {
        match &self.content {
            // Checked when the slot was made.
            Content::Tensor { kind, shape } => {
                (dtype(*kind).unwrap_or(DType::Float32), shape.iter().copied().collect())
            }
            Content::Scalar(scalar) | Content::Fixed(scalar) => (saved(*scalar).dtype(), Vec::new()),
        }
    }

    /// Takes the value out of a state; zeros where there is none yet.
    fn value(&self, state: &mut State) -> Result<tensor::Tensor, String> {
        let found = match &self.content {
            Content::Tensor { .. } => match state.tensors.remove(&self.key) {
                Some(tensor) => {
                    let (_, kind, shape, _, bytes) =
                        tensor.into_parts().map_err(|error| error.to_string())?;
                    Some(from_burn(kind, &shape, &bytes)?)
                }
                None => None,
            },
            Content::Scalar(_) | Content::Fixed(_) => state.scalars.get(&self.key).copied().map(saved),
        };
        let (dtype, shape) = self.described();
        match found {
            Some(value) => Ok(value),
            None => tensor::Tensor::zeros(dtype, shape).map_err(|error| error.to_string()),
        }
    }

    /// Adds the value of a checkpoint to a state.
    fn restore<'v>(
        &self,
        state: &mut State,
        value: &impl Fn(&str) -> Result<&'v tensor::Tensor, String>,
    ) -> Result<(), String> {
        match &self.content {
            Content::Tensor { kind, .. } => {
                let tensor = to_burn(self.key.clone(), *kind, self.id, value(&self.name)?)?;
                state.tensors.insert(self.key.clone(), tensor);
            }
            Content::Scalar(like) => {
                state.scalars.insert(self.key.clone(), restored(*like, value(&self.name)?)?);
            }
            Content::Fixed(scalar) => {
                state.scalars.insert(self.key.clone(), *scalar);
            }
        }
        Ok(())
    }
}

/// Returns a scalar as it is saved.
fn saved(scalar: Scalar) -> tensor::Tensor {
    match scalar {
        Scalar::Int(value) => value.into(),
        Scalar::UInt(value) => value.into(),
        Scalar::Float(value) => value.into(),
        Scalar::Bool(value) => value.into(),
    }
}

/// Returns a saved scalar of the kind that another one has.
fn restored(like: Scalar, value: &tensor::Tensor) -> Result<Scalar, String> {
    let scalar = match like {
        Scalar::Int(_) => value.value().map(Scalar::Int),
        Scalar::UInt(_) => value.value().map(Scalar::UInt),
        Scalar::Float(_) => value.value().map(Scalar::Float),
        Scalar::Bool(_) => value.value().map(Scalar::Bool),
    };
    scalar.map_err(|error| error.to_string())
}

impl<M: Module> SaveSource for BurnModel<M> {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, tensor::Tensor)>> {
        self.read().map(|values| values.into_iter().collect()).map_err(failed("read"))
    }
}

impl<M: Module> RestoreTarget for BurnModel<M> {
    fn variables(&self) -> Vec<VariableSpec> {
        let parameter = |parameter: &Parameter| {
            // Checked when the model was made.
            let dtype = dtype(parameter.kind).unwrap_or(DType::Float32);
            let dims: Vec<usize> = parameter.shape.iter().copied().collect();
            VariableSpec::new(&parameter.path, dtype, Some(dims.into()))
        };
        let slot = |slot: &Slot| {
            let (dtype, dims) = slot.described();
            VariableSpec::new(&slot.name, dtype, Some(dims.into()))
        };
        let own = [
            VariableSpec::new(STATES, DType::Bool, Some([self.parameters.len()].into())),
            VariableSpec::new(STEP, DType::Int64, Some([].into())),
        ];
        let slots = self.slots.iter().filter(|slot| slot.is_saved()).map(slot);
        self.parameters.iter().map(parameter).chain(slots).chain(own).collect()
    }

    fn assign(&mut self, values: Vec<(String, tensor::Tensor)>) -> checkpoint::Result<()> {
        // A partial restore leaves the others as they are.
        let mut all = self.read().map_err(failed("assign"))?;
        all.extend(values);
        self.write(&all).map_err(failed("assign"))
    }
}
