//! The common part of all optimizers: a name, a place in the graph, and slots.

use super::clipping::Clipping;
use super::decoupled_weight_decay::WeightDecay;
use crate::initializers::Initializer;
use crate::variables::VariableBuilder;
use session_core::{Endpoint, Error, Graph, GraphId, Shape, Variable};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name, place, and slots of an optimizer.
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
    /// Creates the settings of an optimizer with this name.
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

    /// Returns the name, which stands in the names of operations and slots.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a handle for operations created on behalf of this caller.
    pub(super) fn place(&self, graph: &Graph, location: &'static Location<'static>) -> Graph {
        self.lock().caller = Some(location);
        self.home(graph, location).located_at(location)
    }

    /// Returns the scope and control inputs of what is made; that the handle is of another graph is an error
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

    /// Returns a variable's slot, if it was made.
    #[must_use]
    pub fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.lock().slots.get(&slot_key(variable, name)).cloned()
    }

    /// Returns all slots and other variables, in the order they were made.
    #[must_use]
    pub fn variables(&self) -> Vec<Variable> {
        self.lock().in_order.clone()
    }

    /// Returns a variable's slot, of the variable's shape, dtype and kind, on its device, and saved as a part of a partitioned slot if the
    /// variable is a part; made if there is none.
    #[track_caller]
    pub fn slot_or_make(&self, variable: &Variable, name: &str, initializer: &dyn Initializer) -> Variable {
        let location = self.lock().caller.unwrap_or(Location::caller());
        self.get_or_make(slot_key(variable, name), || {
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

    /// Returns a variable that belongs to all, such as Adam's powers; made if there is none.
    pub fn shared_or_make(&self, graph: &Graph, name: &str, make: impl FnOnce() -> Variable) -> Variable {
        self.get_or_make((graph.id(), None, name.to_owned()), make)
    }

    /// Returns a variable that belongs to all, if it was made.
    #[must_use]
    pub fn shared(&self, graph: &Graph, name: &str) -> Option<Variable> {
        self.lock().slots.get(&(graph.id(), None, name.to_owned())).cloned()
    }

    fn get_or_make(&self, key: Key, make: impl FnOnce() -> Variable) -> Variable {
        if let Some(found) = self.lock().slots.get(&key) {
            return found.clone();
        }
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
