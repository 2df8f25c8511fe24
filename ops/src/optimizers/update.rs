//! The scope and device of the operations of one training step.

use super::OptimizerSettings;
use crate::IndexedSlices;
use crate::initializers::zeros;
use crate::scalar::Scalar;
use crate::variables::VariableExt;
use session_core::{DType, Graph, OpBuilder, OpDef, Operation, Output, Variable};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The scope of one training step, such as `Adam/`, with the constants that all updates of the step share. Implementations of
/// [`Optimizer`](super::Optimizer) build their operations with it.
#[derive(Clone, Debug)]
pub struct UpdateScope<'a> {
    settings: &'a OptimizerSettings,
    graph: Graph,
    /// The operations that run before the updates.
    before: Vec<Operation>,
    /// The hyperparameters of the step, by name, number and dtype. Shared with the scopes that
    /// [`after`](UpdateScope::after) returns.
    shared: Rc<RefCell<HashMap<(&'static str, usize, DType), Output>>>,
}

impl<'a> UpdateScope<'a> {
    pub(super) fn new(settings: &'a OptimizerSettings, graph: Graph) -> UpdateScope<'a> {
        UpdateScope { settings, graph, before: Vec::new(), shared: Rc::default() }
    }

    /// Returns the same scope, whose updates also wait for this operation.
    #[must_use]
    pub fn after(&self, operation: &Operation) -> UpdateScope<'a> {
        let before = self.before.iter().chain([operation]).cloned().collect();
        let (graph, shared) = (self.graph.clone(), Rc::clone(&self.shared));
        UpdateScope { settings: self.settings, graph, before, shared }
    }

    /// Returns the handle that builds operations in this scope.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Makes these slots, which begin with zeros, for each variable in turn.
    #[track_caller]
    pub(super) fn zero_slots(&self, variables: &[Variable], names: &[&str]) {
        for variable in variables {
            for name in names {
                self.settings.get_or_create_slot(variable, name, &zeros());
            }
        }
    }

    /// Returns the name, the place, and the slots of the optimizer.
    #[must_use]
    pub fn settings(&self) -> &'a OptimizerSettings {
        self.settings
    }

    /// Returns a hyperparameter as an output of this dtype. All updates of the step with the same name and dtype share the output.
    #[track_caller]
    pub fn hyperparameter(&self, name: &'static str, value: &Scalar, dtype: DType) -> Output {
        self.numbered_hyperparameter(name, 0, value, dtype)
    }

    /// Works as [`hyperparameter`](UpdateScope::hyperparameter), for one of several numbers of the same name.
    #[track_caller]
    pub(super) fn numbered_hyperparameter(
        &self,
        name: &'static str,
        number: usize,
        value: &Scalar,
        dtype: DType,
    ) -> Output {
        let key = (name, number, dtype);
        // The borrow ends with the statement: `to_output` may build operations, and closures with them.
        if let Some(output) = self.shared.borrow().get(&key) {
            return output.clone();
        }
        let output = value.to_output(&self.graph.named(name), dtype);
        self.shared.borrow_mut().insert(key, output.clone());
        output
    }

    /// Starts the operation that updates a variable, on the device of the variable. It uses the definition for the kind of the variable,
    /// `resource` or `reference`, and takes the variable as its first input.
    #[track_caller]
    pub fn update_of(
        &self,
        variable: &Variable,
        resource: &'static OpDef,
        reference: &'static OpDef,
    ) -> OpBuilder {
        let def = if variable.is_resource() { resource } else { reference };
        self.place_of(variable).op(def).input(variable.handle())
    }

    /// Works as [`update_of`](UpdateScope::update_of), for an operation with a second form that updates some rows. Returns also the
    /// inputs that the gradient becomes: itself, or of rows the values and then the indices, each index once, as TensorFlow hands
    /// them to its operations.
    ///
    /// `whole` and `rows` have the definitions for resource and reference variables. The rows are taken if the gradient [consists of
    /// rows](IndexedSlices::of): the other rows then keep their values and their slots, which an update with a gradient of zero would
    /// change.
    #[track_caller]
    pub fn update_by(
        &self,
        gradient: &Output,
        variable: &Variable,
        whole: [&'static OpDef; 2],
        rows: [&'static OpDef; 2],
    ) -> (OpBuilder, Vec<Output>) {
        let (place, kind) = (self.place_of(variable), usize::from(!variable.is_resource()));
        let (def, gradient) = match IndexedSlices::of(gradient) {
            None => (whole[kind], vec![gradient.clone()]),
            Some(slices) => {
                let IndexedSlices { values, indices, .. } = slices.summed(&place);
                (rows[kind], vec![values, indices])
            }
        };
        (place.op(def).input(variable.handle()), gradient)
    }

    /// Returns the handle for operations that belong on the device of the variable.
    #[must_use]
    pub fn place_of(&self, variable: &Variable) -> Graph {
        // TensorFlow's name for the update of a variable: `Adam/update_w/ResourceApplyAdam`.
        let scope = self.graph.scope(&format!("update_{}", variable.name()));
        variable.colocated(&scope).control_dependencies(&self.before)
    }

    /// Returns a slot of a variable, as an input.
    ///
    /// # Panics
    /// Panics if [`create_slots`](super::Optimizer::create_slots) did not create the slot, which is a bug of
    /// the optimizer.
    #[must_use]
    pub fn slot(&self, variable: &Variable, name: &str) -> Output {
        self.slot_variable(variable, name).handle().clone()
    }

    /// Returns a slot of a variable.
    ///
    /// # Panics
    /// As [`slot`](UpdateScope::slot).
    #[must_use]
    pub fn slot_variable(&self, variable: &Variable, name: &str) -> Variable {
        let slot = self.settings.slot(variable, name);
        slot.unwrap_or_else(|| panic!("create_slots made no '{name}'"))
    }
}
