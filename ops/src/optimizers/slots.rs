//! The common part of all optimizers: a name, a place in the graph, and slots.
//!
//! A slot is an ordinary variable that belongs to one variable and one optimizer, such as the momentum of a weight. Names follow
//! TensorFlow: the first slot of `w` in `Adam` is `w/Adam`, the second `w/Adam_1`. Slots are saved and restored with the model, are on
//! the device of their variable, and join the global variables but not the trainable ones.

use super::clipping::Clipping;
use super::decoupled_weight_decay::WeightDecay;
use crate::initializers::Initializer;
use crate::variables::VariableBuilder;
use session_core::{Endpoint, Error, Graph, GraphId, Shape, Variable};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name, the place in the graph, and the slots of an optimizer: a field of everything that implements
/// [`Optimizer`](super::Optimizer).
///
/// ```
/// use ops::optimizers::OptimizerSettings;
/// # let graph = session_core::Graph::new();
/// let settings = OptimizerSettings::new("Lion");
/// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
/// let slot = settings.get_or_create_slot(&w, "m", &ops::initializers::zeros());
/// assert_eq!((slot.name(), slot.shape().to_string()), ("w/Lion", "[2]".to_owned()));
/// assert_eq!(settings.get_or_create_slot(&w, "m", &ops::initializers::zeros()), slot);
/// # graph.finalize().unwrap();
/// ```
pub struct OptimizerSettings {
    pub(super) name: String,
    pub(super) place: Option<Graph>,
    /// The limits of gradients that were set, of which there may be one.
    pub(super) clipping: Vec<Clipping>,
    /// The decays of the variables, each of which comes before an update.
    pub(super) decays: Vec<WeightDecay>,
    /// Guards the list of slots. Nothing is called under it that could come back here.
    made: Mutex<Made>,
}

/// The variables that the optimizer has created. A slot is never removed, so `in_order` and
/// `slots` hold the same variables.
#[derive(Default)]
struct Made {
    slots: HashMap<Key, Variable>,
    in_order: Vec<Variable>,
    /// The caller that last requested a training step. Errors of slots report this location.
    caller: Option<&'static Location<'static>>,
}

/// A graph, the variable that a slot belongs to (none for what belongs to all), and the slot's name.
type Key = (GraphId, Option<Endpoint>, String);

impl OptimizerSettings {
    /// Creates the settings of an optimizer with this default name, at the top of the graph and without slots.
    #[must_use]
    pub fn new(name: &str) -> OptimizerSettings {
        OptimizerSettings {
            name: name.to_owned(),
            place: None,
            clipping: Vec::new(),
            decays: Vec::new(),
            made: Mutex::default(),
        }
    }

    /// Returns the name, which is part of the names of operations and slots.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a handle for operations created on behalf of this caller.
    pub(super) fn place(&self, graph: &Graph, location: &'static Location<'static>) -> Graph {
        self.lock().caller = Some(location);
        self.home(graph, location).located_at(location)
    }

    /// Returns the scope and control inputs of the operations that are made; a handle of another graph is an error
    /// of this caller.
    pub(super) fn home(&self, graph: &Graph, location: &'static Location<'static>) -> Graph {
        match &self.place {
            None => graph.root(),
            Some(place) if place.is_same(graph) => place.clone(),
            // This thread builds the body of a branch within that graph. The branch as a whole waits for the control inputs.
            Some(place) if place.root().is_same(graph) => graph.root(),
            Some(place) => {
                let text =
                    format!("optimizer '{}' was given a handle of another graph to work within", self.name);
                graph.add_error_of_both(place, Error::value(text).with_location(location));
                graph.root()
            }
        }
    }

    /// Returns a slot of a variable, or `None` if it does not exist.
    #[must_use]
    pub fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.lock().slots.get(&slot_key(variable, name)).cloned()
    }

    /// Returns all slots and other variables, in the order of their creation.
    #[must_use]
    pub fn variables(&self) -> Vec<Variable> {
        self.lock().in_order.clone()
    }

    /// Returns a slot of a variable, and creates it if it does not exist. A slot has the shape, dtype, kind, and device of the variable.
    /// The slot of a part of a partitioned variable is saved as a part of a partitioned slot.
    ///
    /// A variable whose shape is not fully known is a build error.
    #[track_caller]
    pub fn get_or_create_slot(
        &self,
        variable: &Variable,
        name: &str,
        initializer: &dyn Initializer,
    ) -> Variable {
        let location = self.lock().caller.unwrap_or(Location::caller());
        self.get_or_make(slot_key(variable, name), || {
            // At the top of the graph, whatever scope the caller is in: the variable's
            // name contains its own scope.
            let graph = variable.graph().root();
            let shape = variable.shape().to_shape().unwrap_or_else(|| {
                let text = format!("the shape of variable '{}' is not fully known", variable.name());
                graph.add_error(Error::value(text).with_location(location));
                Shape::scalar()
            });
            let named = graph.named(&format!("{}/{}", variable.name(), self.name));
            VariableBuilder::new(&named)
                .trainable(false)
                .slot_of(variable)
                .located_at(location)
                .initializer(shape, variable.dtype(), initializer)
                .build()
        })
    }

    /// Returns a variable that all trained variables share, such as Adam's powers, and creates it if it does not exist.
    pub fn get_or_create_shared(
        &self,
        graph: &Graph,
        name: &str,
        make: impl FnOnce() -> Variable,
    ) -> Variable {
        self.get_or_make((graph.id(), None, name.to_owned()), make)
    }

    /// Returns a variable that all trained variables share, or `None` if it does not exist.
    #[must_use]
    pub fn shared(&self, graph: &Graph, name: &str) -> Option<Variable> {
        self.lock().slots.get(&(graph.id(), None, name.to_owned())).cloned()
    }

    /// Returns the variable of a key, and creates it if it does not exist.
    fn get_or_make(&self, key: Key, make: impl FnOnce() -> Variable) -> Variable {
        if let Some(found) = self.lock().slots.get(&key) {
            return found.clone();
        }
        // Outside of the lock: the initializer is code of the caller and may ask for slots itself.
        let made = make();
        let mut state = self.lock();
        state.slots.insert(key, made.clone());
        state.in_order.push(made.clone());
        made
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle identifies the variable; its name may occur in other graphs.
fn slot_key(variable: &Variable, name: &str) -> Key {
    (variable.handle().graph_id(), Some(variable.handle().endpoint()), name.to_owned())
}

impl fmt::Debug for OptimizerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.lock().in_order.len();
        f.debug_struct("OptimizerSettings")
            .field("name", &self.name)
            .field("variables", &variables)
            .finish_non_exhaustive()
    }
}
