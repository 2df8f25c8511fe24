//! Reading and assigning variables.

use super::Value;
use crate::global_step::ordered_after_read;
use crate::state::{
    ASSIGN, ASSIGN_ADD, ASSIGN_ADD_VARIABLE_OP, ASSIGN_SUB, ASSIGN_SUB_VARIABLE_OP, ASSIGN_VARIABLE_OP,
    is_variable_initialized, read_variable_op, resource_scatter_add, resource_scatter_sub,
    resource_scatter_update, scatter_add, scatter_sub, scatter_update, var_is_initialized_op,
};
use session_core::{AsOutput, AttrValue, Error, Graph, OpDef, Operation, Output, Variable};

/// The operations on a variable. The trait is not meant to be implemented by other crates.
///
/// Assignments are built in the scope, and wait for the control inputs, of the assigned value; if the value is a number or tensor, of the
/// variable. Assigning the global step waits for the read that hooks share, so that hooks see the step from before the run (S-330,
/// S-380).
///
/// ```
/// use ops::variables::{VariableExt, variable};
/// let graph = session_core::Graph::new();
/// let count = variable(&graph.named("count"), 0i64);
/// let increment = count.assign_add(1i64);
/// let reset = count.assign(0i64);
/// assert_eq!((increment.op_type(), reset.op_type()), ("AssignAddVariableOp", "AssignVariableOp"));
/// # graph.finalize().unwrap();
/// ```
pub trait VariableExt {
    /// Returns a separate read of the value, after the control inputs of the handle. (As an operand or fetch, a variable stands for one
    /// read that all share and that waits for nothing.)
    ///
    /// ```
    /// use ops::variables::{VariableExt, variable};
    /// # let graph = session_core::Graph::new();
    /// let w = variable(&graph.named("w"), 1.0f32);
    /// let update = w.assign_add(1.0f32);
    /// let after = w.read(&graph.control_dependencies([&update])); // the value after the update
    /// assert_eq!(after.operation().control_inputs(), [update]);
    /// ```
    fn read(&self, graph: &Graph) -> Output;

    /// Returns a scalar bool of the graph that is true if the variable is initialized.
    fn is_initialized(&self, graph: &Graph) -> Output;

    /// Returns the value that an update of this variable leaves, such as that of [`assign_add`](VariableExt::assign_add): reading it
    /// runs the update. TensorFlow's `assign_add` and its like give this value themselves.
    ///
    /// ```
    /// use ops::variables::{VariableExt, variable};
    /// # let graph = session_core::Graph::new();
    /// let count = variable(&graph.named("count"), 0i64);
    /// let counted = count.after(&count.assign_add(1));
    /// // session.run(&counted, ())? is 1 in the first run, and 2 in the second
    /// # assert_eq!(counted.operation().control_inputs().len(), 1);
    /// # graph.finalize().unwrap();
    /// ```
    fn after(&self, update: &Operation) -> Output;

    /// Returns the operation that assigns a value: a number, a tensor or an output.
    ///
    /// ```
    /// use ops::variables::{VariableExt, variable};
    /// # let graph = session_core::Graph::new();
    /// let w = variable(&graph.named("w"), [1.0f32, 2.0]);
    /// let reset = w.assign([0.0f32, 0.0]);
    /// let double = w.assign(&w * 2.0f32);
    /// # let _ = (reset, double);
    /// # graph.finalize().unwrap();
    /// ```
    fn assign(&self, value: impl Into<Value>) -> Operation;

    /// Returns the operation that adds to the value.
    ///
    /// ```
    /// use ops::variables::{VariableExt, variable};
    /// # let graph = session_core::Graph::new();
    /// let count = variable(&graph.named("count"), 0i64);
    /// let increment = count.assign_add(1i64);
    /// assert_eq!(increment.op_type(), "AssignAddVariableOp");
    /// ```
    fn assign_add(&self, value: impl Into<Value>) -> Operation;

    /// Returns the operation that subtracts a value of the variable's shape.
    fn assign_sub(&self, value: impl Into<Value>) -> Operation;

    /// Returns the operation that replaces the rows at these indices.
    ///
    /// ```
    /// use ops::{array::constant, variables::{VariableExt, variable}};
    /// # let graph = session_core::Graph::new();
    /// let table = variable(&graph.named("table"), [[0.0f32, 0.0], [0.0, 0.0]]);
    /// let update = table.scatter_update(constant(&graph, [1]), constant(&graph, [[1.0f32, 2.0]]));
    /// # let _ = update;
    /// # graph.finalize().unwrap();
    /// ```
    fn scatter_update(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation;

    /// Returns the operation that adds updates to the rows at these indices. Updates of an index that occurs several times add up.
    fn scatter_add(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation;

    /// Returns the operation that subtracts updates from the rows at these indices. Updates of an index that occurs several times add up.
    fn scatter_sub(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation;

    /// Returns the handle with the device of this variable, for operations that belong on the same device, such as the slots of an
    /// optimizer.
    fn colocated(&self, graph: &Graph) -> Graph;
}

impl VariableExt for Variable {
    #[track_caller]
    fn read(&self, graph: &Graph) -> Output {
        let handle = self.handle().within(graph);
        // A resource is read when this operation runs; a reference variable is the tensor itself,
        // which an identity passes on.
        if self.is_resource() {
            return read_variable_op(handle, self.dtype());
        }
        crate::array::identity(handle)
    }

    #[track_caller]
    fn is_initialized(&self, graph: &Graph) -> Output {
        let handle = self.handle().within(graph);
        if self.is_resource() { var_is_initialized_op(handle) } else { is_variable_initialized(handle) }
    }

    #[track_caller]
    fn after(&self, update: &Operation) -> Output {
        self.read(&self.handle().graph().control_dependencies([update]))
    }

    #[track_caller]
    fn assign(&self, value: impl Into<Value>) -> Operation {
        update(self, value.into(), &ASSIGN_VARIABLE_OP, &ASSIGN)
    }

    #[track_caller]
    fn assign_add(&self, value: impl Into<Value>) -> Operation {
        update(self, value.into(), &ASSIGN_ADD_VARIABLE_OP, &ASSIGN_ADD)
    }

    #[track_caller]
    fn assign_sub(&self, value: impl Into<Value>) -> Operation {
        update(self, value.into(), &ASSIGN_SUB_VARIABLE_OP, &ASSIGN_SUB)
    }

    #[track_caller]
    fn scatter_update(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation {
        let handle = placed(self, &updates);
        if self.is_resource() {
            return resource_scatter_update(handle, indices, updates);
        }
        scatter_update(handle, indices, updates).operation().clone()
    }

    #[track_caller]
    fn scatter_add(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation {
        let handle = placed(self, &updates);
        if self.is_resource() {
            return resource_scatter_add(handle, indices, updates);
        }
        scatter_add(handle, indices, updates).operation().clone()
    }

    #[track_caller]
    fn scatter_sub(&self, indices: impl AsOutput, updates: impl AsOutput) -> Operation {
        let handle = placed(self, &updates);
        if self.is_resource() {
            return resource_scatter_sub(handle, indices, updates);
        }
        scatter_sub(handle, indices, updates).operation().clone()
    }

    fn colocated(&self, graph: &Graph) -> Graph {
        match self.handle().operation().device() {
            // Without a device there is nothing to move to.
            "" => graph.clone(),
            device => graph.device(device),
        }
    }
}

/// Returns the handle where the updates stand, on the variable's device.
fn placed(variable: &Variable, updates: &impl AsOutput) -> Output {
    variable.handle().within(&variable.colocated(&updates.as_output().graph()))
}

#[track_caller]
fn update(
    variable: &Variable,
    value: Value,
    resource: &'static OpDef,
    reference: &'static OpDef,
) -> Operation {
    // Both kinds of variables have assignments that take the variable first and the value second.
    let def = if variable.is_resource() { resource } else { reference };
    // The operation is built with the value as given, so that the error names its place.
    let (value, problem) = match value.clone().for_dtype(variable.dtype()) {
        Ok(value) => (value, None),
        Err(error) => {
            let text = format!("{} is the dtype of variable '{}'", variable.dtype(), variable.name());
            (value, Some(Error::type_mismatch(format!("{}: {text}", error.message()))))
        }
    };
    let place = match &value {
        Value::Output(output) => variable.colocated(&output.graph()),
        Value::Tensor(_) => variable.handle().graph(),
    };
    // An assignment to the global step waits for the read that the hooks share.
    let builder = ordered_after_read(place.op(def), variable).input(variable.handle());
    let builder = match def.signature().attr("validate_shape") {
        // Only a variable that knows its shape refuses values of others.
        Some(_) => builder.attr("validate_shape", AttrValue::Bool(variable.shape().is_fully_known())),
        None => builder,
    };
    let builder = match problem {
        Some(problem) => builder.error(problem),
        None => builder,
    };
    match value {
        Value::Output(output) => builder.input(output).finish(),
        Value::Tensor(tensor) => builder.constant(tensor).finish(),
    }
}
