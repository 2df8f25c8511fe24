//! Accumulators: gradients that are collected until a required number has arrived.

use crate::arguments::location_of;
use crate::composite::unnamed;
use crate::library::op_defs;
use crate::shapes::{must_be_scalar, old_handle, scalar};
use session_core::{
    AsOutput, AttrValue, DType, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result,
    ShapeContext, Variable,
};

const HANDLE: &str = "dtype: numbertype, shape: shape, container: string = \"\", shared_name: string = \"\", reduction_type: {\"MEAN\", \"SUM\"} = \"MEAN\"";
const DTYPE: &str = "dtype: numbertype";

op_defs! {
    RESOURCE_CONDITIONAL_ACCUMULATOR: OpDef::new("ResourceConditionalAccumulator", "-> handle: resource")
        .attrs(HANDLE).stateful().shape(scalar).not_differentiable();
    RESOURCE_ACCUMULATOR_APPLY_GRADIENT: OpDef::new("ResourceAccumulatorApplyGradient", "handle: resource, local_step: int64, gradient: dtype ->")
        .attrs(DTYPE).stateful().shape(step_is_scalar).not_differentiable();
    RESOURCE_ACCUMULATOR_TAKE_GRADIENT: OpDef::new("ResourceAccumulatorTakeGradient", "handle: resource, num_required: int32 -> average: dtype")
        .attrs(DTYPE).stateful().shape(taken).not_differentiable();
    RESOURCE_ACCUMULATOR_NUM_ACCUMULATED: OpDef::new("ResourceAccumulatorNumAccumulated", "handle: resource -> num_accumulated: int32")
        .stateful().shape(scalar).not_differentiable();
    RESOURCE_ACCUMULATOR_SET_GLOBAL_STEP: OpDef::new("ResourceAccumulatorSetGlobalStep", "handle: resource, new_global_step: int64 ->")
        .stateful().shape(step_is_scalar).not_differentiable();

    CONDITIONAL_ACCUMULATOR: OpDef::new("ConditionalAccumulator", "-> handle: Ref(string)")
        .attrs(HANDLE).stateful().shape(old_handle).not_differentiable();
    ACCUMULATOR_APPLY_GRADIENT: OpDef::new("AccumulatorApplyGradient", "handle: Ref(string), local_step: int64, gradient: dtype ->")
        .attrs(DTYPE).shape(step_is_scalar).not_differentiable();
    ACCUMULATOR_TAKE_GRADIENT: OpDef::new("AccumulatorTakeGradient", "handle: Ref(string), num_required: int32 -> average: dtype")
        .attrs(DTYPE).shape(taken).not_differentiable();
    ACCUMULATOR_NUM_ACCUMULATED: OpDef::new("AccumulatorNumAccumulated", "handle: Ref(string) -> num_accumulated: int32")
        .shape(scalar).not_differentiable();
    ACCUMULATOR_SET_GLOBAL_STEP: OpDef::new("AccumulatorSetGlobalStep", "handle: Ref(string), new_global_step: int64 ->")
        .shape(step_is_scalar).not_differentiable();

    SPARSE_CONDITIONAL_ACCUMULATOR: OpDef::new("SparseConditionalAccumulator", "-> handle: Ref(string)")
        .attrs(HANDLE).stateful().shape(old_handle).not_differentiable();
    SPARSE_ACCUMULATOR_APPLY_GRADIENT: OpDef::new("SparseAccumulatorApplyGradient", "handle: Ref(string), local_step: int64, gradient_indices: int64, gradient_values: dtype, gradient_shape: int64 ->")
        .attrs("dtype: numbertype, has_known_shape: bool").shape(step_is_scalar).not_differentiable();
    SPARSE_ACCUMULATOR_TAKE_GRADIENT: OpDef::new("SparseAccumulatorTakeGradient", "handle: Ref(string), num_required: int32 -> indices: int64, values: dtype, shape: int64")
        .attrs(DTYPE).shape(rows_taken).not_differentiable();
}

/// Checks that the step is a scalar; there are no outputs to infer.
fn step_is_scalar(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)
}

/// Returns the shape that an accumulator declares, where the graph tells.
fn declared(context: &ShapeContext<'_>) -> Option<PartialShape> {
    let handle = context.inputs().first()?.operation();
    handle.attr("shape").and_then(AttrValue::as_shape).cloned()
}

/// Infers the declared shape of a gradient.
fn taken(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)?;
    if let Some(shape) = declared(context) {
        context.set(0, shape);
    }
    Ok(())
}

/// Infers indices, rows and shape, whose number is that of the distinct indices that were added.
fn rows_taken(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)?;
    context.set(0, PartialShape::of_rank(1));
    // A scalar's shape declares nothing.
    let shape =
        declared(context).filter(|shape| shape.rank() != Some(0)).unwrap_or_else(PartialShape::unknown);
    context.set(2, PartialShape::from([shape.rank()]));
    if let Some(rank) = shape.rank() {
        context.set(1, PartialShape::from([None]).concat(&shape.range(1, rank)));
    }
    Ok(())
}

/// The reduction of the collected gradients to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean of the gradients. For rows, the mean of those with the same index.
    #[default]
    Mean,
    /// The sum of the gradients.
    Sum,
}

impl Reduction {
    fn name(self) -> &'static str {
        match self {
            Reduction::Mean => "MEAN",
            Reduction::Sum => "SUM",
        }
    }
}

/// Collects gradients of several workers or steps until enough of them are available to be taken as one, for
/// synchronous training. TensorFlow's `ConditionalAccumulator`.
///
/// It has its own step, initially 0 and incremented with each gradient taken. Gradients that were
/// computed for an earlier step are stale and are dropped.
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::data_flow::{ConditionalAccumulator, Reduction};
/// use session_core::{DType, Graph, Tensor};
///
/// let graph = Graph::new();
/// let gradient = placeholder(&graph, DType::Float32, [3]);
/// let step = constant(&graph, 0i64);
/// let accumulator = ConditionalAccumulator::new(&graph, DType::Float32, [3], Reduction::Mean);
/// let apply = accumulator.apply_grad(&gradient, &step);
/// let mean = accumulator.take_grad(constant(&graph, 4i32));
/// assert_eq!(mean.shape().to_string(), "[3]");
/// # let _ = apply;
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct ConditionalAccumulator {
    handle: Output,
}

/// Returns the handle of an accumulator, which waits for nothing. With `colocated` it stays on the device of that variable,
/// wherever that comes to be.
#[track_caller]
fn handle(
    graph: &Graph,
    def: &'static OpDef,
    dtype: DType,
    shape: PartialShape,
    reduction: Reduction,
    shared_name: &str,
    colocated: Option<&Variable>,
) -> Output {
    let sparse = def.name().starts_with("Sparse");
    // TensorFlow's names: without a shared name, other processes find an accumulator
    // by the name of its operation.
    let name = if sparse { "sparse_conditional_accumulator" } else { "conditional_accumulator" };
    // The accumulator exists for the session; only what uses it may wait.
    let builder = graph.without_control_dependencies().op(def).default_name(name);
    let builder = builder.attr("dtype", dtype).attr("shape", shape).attr("shared_name", shared_name);
    let builder = builder.attr("reduction_type", reduction.name());
    let builder = match colocated {
        Some(variable) => builder.attr("_class", location_of(variable.handle().operation())),
        None => builder,
    };
    builder.finish_output().within(&unnamed(graph))
}

/// Returns the dtype of an accumulator's gradients.
fn dtype(handle: &Output) -> DType {
    handle.operation().attr("dtype").and_then(AttrValue::as_type).unwrap_or(DType::Float32)
}

impl ConditionalAccumulator {
    /// Creates an accumulator of gradients of a floating-point dtype and this shape. Dimensions that are unknown are those of the first
    /// applied gradient.
    #[must_use]
    #[track_caller]
    pub fn new(graph: &Graph, dtype: DType, shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        ConditionalAccumulator::shared(graph, dtype, shape, reduction, "")
    }

    /// Works as [`new`](ConditionalAccumulator::new), with a name that is shared. Operations with the same shared name, in all graphs and
    /// sessions of a cluster, refer to the same accumulator, so the workers of synchronous training can apply gradients to it and take them
    /// from it. Without a shared name, an accumulator belongs to one session.
    #[must_use]
    #[track_caller]
    pub fn shared(
        graph: &Graph,
        dtype: DType,
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        shared_name: &str,
    ) -> Self {
        let def = &RESOURCE_CONDITIONAL_ACCUMULATOR;
        ConditionalAccumulator {
            handle: handle(graph, def, dtype, shape.into(), reduction, shared_name, None),
        }
    }

    /// Creates one with a shared name that takes means and stays on the device of a variable, wherever that comes to be.
    pub(crate) fn next_to(
        variable: &Variable,
        graph: &Graph,
        dtype: DType,
        shape: &PartialShape,
        shared_name: &str,
    ) -> Self {
        let (def, shape, colocated) = (&RESOURCE_CONDITIONAL_ACCUMULATOR, shape.clone(), Some(variable));
        ConditionalAccumulator {
            handle: handle(graph, def, dtype, shape, Reduction::Mean, shared_name, colocated),
        }
    }

    /// Returns the same accumulator, whose operations are built in the scope, on the device and with the control inputs of this graph
    /// handle. Default: those with which it was built.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> Self {
        ConditionalAccumulator { handle: self.handle.within(graph) }
    }

    #[track_caller]
    fn op(&self, def: &'static OpDef) -> OpBuilder {
        self.handle.graph().op(def).input(&self.handle)
    }

    /// Adds a gradient that was computed for the step `local_step`, an `int64`. A gradient of an earlier step than the accumulator's is
    /// dropped. An incompatible shape is an `InvalidArgument` error when the operation runs.
    #[track_caller]
    pub fn apply_grad(&self, gradient: impl AsOutput, local_step: impl AsOutput) -> Operation {
        self.op(&RESOURCE_ACCUMULATOR_APPLY_GRADIENT).input(local_step).input(gradient).finish()
    }

    /// Waits until at least `num_required` gradients (an `int32` greater than 0) have arrived, returns their reduction, and starts over with
    /// the next step.
    #[must_use]
    #[track_caller]
    pub fn take_grad(&self, num_required: impl AsOutput) -> Output {
        self.op(&RESOURCE_ACCUMULATOR_TAKE_GRADIENT)
            .input(num_required)
            .attr("dtype", dtype(&self.handle))
            .finish_output()
    }

    /// Returns the number of gradients that have arrived, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn num_accumulated(&self) -> Output {
        self.op(&RESOURCE_ACCUMULATOR_NUM_ACCUMULATED).finish_output()
    }

    /// Sets the step of the accumulator, an `int64`. Gradients of earlier steps are dropped from then on.
    #[track_caller]
    pub fn set_global_step(&self, step: impl AsOutput) -> Operation {
        self.op(&RESOURCE_ACCUMULATOR_SET_GLOBAL_STEP).input(step).finish()
    }
}

/// Collects gradients that consist of some rows only; otherwise as [`ConditionalAccumulator`]. TensorFlow's
/// `SparseConditionalAccumulator`.
///
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::data_flow::{Reduction, SparseConditionalAccumulator};
/// use session_core::{DType, Graph};
///
/// let graph = Graph::new();
/// let indices = constant(&graph, [0i64, 2]);
/// let rows = placeholder(&graph, DType::Float32, [2, 4]);
/// let accumulator = SparseConditionalAccumulator::new(&graph, DType::Float32, [3, 4], Reduction::Mean);
/// let apply = accumulator.apply_grad(&indices, &rows, constant(&graph, 0i64));
/// let [indices, values, shape] = accumulator.take_grad(constant(&graph, 2i32));
/// # let _ = (apply, indices, values, shape);
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SparseConditionalAccumulator {
    handle: Output,
}

impl SparseConditionalAccumulator {
    /// Creates an accumulator of rows of gradients of a floating-point dtype. `shape` is the shape of the whole gradient.
    #[must_use]
    #[track_caller]
    pub fn new(graph: &Graph, dtype: DType, shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        SparseConditionalAccumulator::shared(graph, dtype, shape, reduction, "")
    }

    /// Works as [`new`](SparseConditionalAccumulator::new), with a name that is shared, as [`ConditionalAccumulator::shared`].
    #[must_use]
    #[track_caller]
    pub fn shared(
        graph: &Graph,
        dtype: DType,
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        shared_name: &str,
    ) -> Self {
        let def = &SPARSE_CONDITIONAL_ACCUMULATOR;
        SparseConditionalAccumulator {
            handle: handle(graph, def, dtype, shape.into(), reduction, shared_name, None),
        }
    }

    /// Creates one with a shared name that takes means and stays on the device of a variable, wherever that comes to be.
    pub(crate) fn next_to(
        variable: &Variable,
        graph: &Graph,
        dtype: DType,
        shape: &PartialShape,
        shared_name: &str,
    ) -> Self {
        let (def, shape, colocated) = (&SPARSE_CONDITIONAL_ACCUMULATOR, shape.clone(), Some(variable));
        SparseConditionalAccumulator {
            handle: handle(graph, def, dtype, shape, Reduction::Mean, shared_name, colocated),
        }
    }

    /// Returns the same accumulator, whose operations are built in the scope, on the device and with the control inputs of this graph
    /// handle. Default: those with which it was built.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> Self {
        SparseConditionalAccumulator { handle: self.handle.within(graph) }
    }

    #[track_caller]
    fn op(&self, def: &'static OpDef) -> OpBuilder {
        self.handle.graph().op(def).input(&self.handle)
    }

    /// Adds rows of a gradient: `values[i]` is row `indices[i]`. The indices are in ascending order. See
    /// [`ConditionalAccumulator::apply_grad`].
    #[track_caller]
    pub fn apply_grad(
        &self,
        indices: impl AsOutput,
        values: impl AsOutput,
        local_step: impl AsOutput,
    ) -> Operation {
        // The shape is not known here, which the attribute says; the operation still has an input for it.
        let none =
            crate::array::constant(&self.handle.graph(), session_core::Tensor::from(Vec::<i64>::new()));
        let builder =
            self.op(&SPARSE_ACCUMULATOR_APPLY_GRADIENT).input(local_step).input(indices).input(values);
        builder.input(none).attr("has_known_shape", false).finish()
    }

    /// Waits as [`ConditionalAccumulator::take_grad`] does. Returns the indices, the rows, and the shape of the whole gradient as far as it is
    /// known.
    #[must_use]
    #[track_caller]
    pub fn take_grad(&self, num_required: impl AsOutput) -> [Output; 3] {
        let builder =
            self.op(&SPARSE_ACCUMULATOR_TAKE_GRADIENT).input(num_required).attr("dtype", dtype(&self.handle));
        let operation = builder.finish();
        [0, 1, 2].map(|index| operation.output(index))
    }

    /// Returns the number of gradients that have arrived, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn num_accumulated(&self) -> Output {
        self.op(&ACCUMULATOR_NUM_ACCUMULATED).finish_output()
    }

    /// Sets the step of the accumulator, an `int64`. Gradients of earlier steps are dropped from then on.
    #[track_caller]
    pub fn set_global_step(&self, step: impl AsOutput) -> Operation {
        self.op(&ACCUMULATOR_SET_GLOBAL_STEP).input(step).finish()
    }
}
