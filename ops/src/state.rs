//! Operations on variables: handles, reads, assignments, sparse reads and updates.
//!
//! Model code makes variables with [`crate::variables`]; these are the single operations beneath, for resource
//! variables (a handle, then reads and assignments of it) and for the older reference variables, which imported
//! graphs hold.

use crate::arguments::Ints;
use crate::array::slicing::SLICE_ATTRS;
use crate::array::{Index, constant, scatter_nd, strided_slice};
use crate::library::op_defs;
use crate::math::{cast, unsorted_segment_sum};
use crate::shapes::{int_attr, scalar, unchanged};
use session_core::{
    AsOutput, AttrValue, DType, Error, Graph, HANDLE_DTYPE, HANDLE_SHAPE, OpBuilder, OpDef, Operation,
    Output, PartialShape, Result, ShapeContext, handle_data,
};

op_defs! {
    VAR_HANDLE_OP: OpDef::new("VarHandleOp", "-> resource: resource")
        .attrs("container: string = \"\", shared_name: string = \"\", debug_name: string = \"\", dtype: type, shape: shape, allowed_devices: list(string) = []")
        .stateful().shape(scalar).not_differentiable();
    READ_VARIABLE_OP: OpDef::new("ReadVariableOp", "resource: resource -> value: dtype")
        .attrs("dtype: type").stateful().shape(read_shape).gradient(read_gradient).captured_by(capture_read);
    // TensorFlow's default for `validate_shape` is false here and true for `Assign`.
    ASSIGN_VARIABLE_OP: OpDef::new("AssignVariableOp", "resource: resource, value: dtype ->")
        .attrs("dtype: type, validate_shape: bool = false").stateful().shape(assigned_fits).not_differentiable();
    ASSIGN_ADD_VARIABLE_OP: OpDef::new("AssignAddVariableOp", "resource: resource, value: dtype ->")
        .attrs("dtype: type").stateful().shape(assigned_fits).not_differentiable();
    ASSIGN_SUB_VARIABLE_OP: OpDef::new("AssignSubVariableOp", "resource: resource, value: dtype ->")
        .attrs("dtype: type").stateful().shape(assigned_fits).not_differentiable();
    VAR_IS_INITIALIZED_OP: OpDef::new("VarIsInitializedOp", "resource: resource -> is_initialized: bool")
        .stateful().shape(scalar).not_differentiable();
    DESTROY_RESOURCE_OP: OpDef::new("DestroyResourceOp", "resource: resource ->")
        .attrs("ignore_lookup_error: bool = true").stateful().not_differentiable();
    // Savers of TensorFlow 2 place it before a read: a hint that here changes nothing, since reads never copy.
    DISABLE_COPY_ON_READ: OpDef::new("DisableCopyOnRead", "resource: resource ->").stateful().not_differentiable();
    VARIABLE_SHAPE: OpDef::new("VariableShape", "input: resource -> output: out_type")
        .attrs("out_type: indextype = int32").stateful().shape(rank_shape).not_differentiable();
    RESOURCE_GATHER: OpDef::new("ResourceGather", "resource: resource, indices: Tindices -> output: dtype")
        .attrs("batch_dims: int32 = 0, validate_indices: bool = true, dtype: type, Tindices: indextype")
        .stateful().shape(gather_shape).gradient(gather_gradient);
    RESOURCE_GATHER_ND: OpDef::new("ResourceGatherNd", "resource: resource, indices: Tindices -> output: dtype")
        .attrs("dtype: type, Tindices: indextype").stateful().shape(gather_nd_shape)
        .gradient(gather_nd_gradient);
    RESOURCE_SCATTER_ADD: scatter_def("ResourceScatterAdd");
    RESOURCE_SCATTER_SUB: scatter_def("ResourceScatterSub");
    RESOURCE_SCATTER_MUL: scatter_def("ResourceScatterMul");
    RESOURCE_SCATTER_DIV: scatter_def("ResourceScatterDiv");
    RESOURCE_SCATTER_MIN: scatter_def("ResourceScatterMin");
    RESOURCE_SCATTER_MAX: scatter_def("ResourceScatterMax");
    RESOURCE_SCATTER_UPDATE: OpDef::new("ResourceScatterUpdate", "resource: resource, indices: Tindices, updates: dtype ->")
        .attrs("dtype: type, Tindices: indextype").stateful().shape(updates_fit).not_differentiable();
    RESOURCE_SCATTER_ND_UPDATE: scatter_nd_def("ResourceScatterNdUpdate");
    RESOURCE_SCATTER_ND_ADD: scatter_nd_def("ResourceScatterNdAdd");
    RESOURCE_SCATTER_ND_SUB: scatter_nd_def("ResourceScatterNdSub");
    RESOURCE_SCATTER_ND_MIN: scatter_nd_def("ResourceScatterNdMin");
    RESOURCE_SCATTER_ND_MAX: scatter_nd_def("ResourceScatterNdMax");
    RESOURCE_STRIDED_SLICE_ASSIGN: OpDef::new("ResourceStridedSliceAssign", "ref: resource, begin: Index, end: Index, strides: Index, value: T ->")
        .attrs(SLICE_ATTRS).stateful().not_differentiable();
    STRIDED_SLICE_ASSIGN: OpDef::new("StridedSliceAssign", "ref: Ref(T), begin: Index, end: Index, strides: Index, value: T -> output_ref: Ref(T)")
        .attrs(SLICE_ATTRS).shape(unchanged).not_differentiable();
    RESOURCE_COUNT_UP_TO: OpDef::new("ResourceCountUpTo", "resource: resource -> output: T")
        .attrs("limit: int, T: indextype").stateful().shape(counted).not_differentiable();

    VARIABLE_V2: OpDef::new("VariableV2", "-> ref: Ref(dtype)")
        .attrs("shape: shape, dtype: type, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(attr_shape).not_differentiable();
    // The form before `VariableV2`, in which `[]` also stands for an unknown shape.
    VARIABLE: OpDef::new("Variable", "-> ref: Ref(dtype)")
        .attrs("shape: shape, dtype: type, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_variable_shape).not_differentiable();
    TEMPORARY_VARIABLE: OpDef::new("TemporaryVariable", "-> ref: Ref(dtype)")
        .attrs("shape: shape, dtype: type, var_name: string = \"\"").stateful().shape(attr_shape).not_differentiable();
    DESTROY_TEMPORARY_VARIABLE: OpDef::new("DestroyTemporaryVariable", "ref: Ref(T) -> value: T")
        .attrs("T: type, var_name: string").shape(unchanged).not_differentiable();
    // The references' outputs are the variable itself: what reads them sees later assignments too.
    ASSIGN: OpDef::new("Assign", "ref: Ref(T), value: T -> output_ref: Ref(T)")
        .attrs("T: type, validate_shape: bool = true, use_locking: bool = true").shape(assign_shape).not_differentiable();
    ASSIGN_ADD: OpDef::new("AssignAdd", "ref: Ref(T), value: T -> output_ref: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(update_shape).not_differentiable();
    ASSIGN_SUB: OpDef::new("AssignSub", "ref: Ref(T), value: T -> output_ref: Ref(T)")
        .attrs("T: numbertype, use_locking: bool = false").shape(update_shape).not_differentiable();
    IS_VARIABLE_INITIALIZED: OpDef::new("IsVariableInitialized", "ref: Ref(dtype) -> is_initialized: bool")
        .attrs("dtype: type").shape(scalar).not_differentiable();
    COUNT_UP_TO: OpDef::new("CountUpTo", "ref: Ref(T) -> output: T")
        .attrs("limit: int, T: indextype").shape(scalar).not_differentiable();
    SCATTER_UPDATE: OpDef::new("ScatterUpdate", "ref: Ref(T), indices: Tindices, updates: T -> output_ref: Ref(T)")
        .attrs("T: type, Tindices: indextype, use_locking: bool = true").shape(ref_scatter_shape).not_differentiable();
    SCATTER_ADD: ref_scatter_def("ScatterAdd");
    SCATTER_SUB: ref_scatter_def("ScatterSub");
    SCATTER_MUL: ref_scatter_def("ScatterMul");
    SCATTER_DIV: ref_scatter_def("ScatterDiv");
    SCATTER_MIN: ref_scatter_order_def("ScatterMin");
    SCATTER_MAX: ref_scatter_order_def("ScatterMax");
    SCATTER_ND_UPDATE: OpDef::new("ScatterNdUpdate", "ref: Ref(T), indices: Tindices, updates: T -> output_ref: Ref(T)")
        .attrs("T: type, Tindices: indextype, use_locking: bool = true, bad_indices_policy: string = \"\"")
        .shape(unchanged).not_differentiable();
    SCATTER_ND_ADD: ref_scatter_nd_def("ScatterNdAdd");
    SCATTER_ND_SUB: ref_scatter_nd_def("ScatterNdSub");
    SCATTER_ND_MIN: ref_scatter_nd_def("ScatterNdMin");
    SCATTER_ND_MAX: ref_scatter_nd_def("ScatterNdMax");
}

/// Defines an update of rows of a resource variable. Strings and bools are excluded: they have no arithmetic.
const fn scatter_def(name: &'static str) -> OpDef {
    OpDef::new(name, "resource: resource, indices: Tindices, updates: dtype ->")
        .attrs("dtype: numbertype, Tindices: indextype")
        .stateful()
        .shape(updates_fit)
        .not_differentiable()
}

/// Defines an update of slices, whose handle is called `ref` also for resources, as in TensorFlow.
const fn scatter_nd_def(name: &'static str) -> OpDef {
    OpDef::new(name, "ref: resource, indices: Tindices, updates: T ->")
        .attrs("T: type, Tindices: indextype, use_locking: bool = true, bad_indices_policy: string = \"\"")
        .stateful()
        .not_differentiable()
}

/// Defines an update of rows of a reference variable.
const fn ref_scatter_def(name: &'static str) -> OpDef {
    OpDef::new(name, "ref: Ref(T), indices: Tindices, updates: T -> output_ref: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false")
        .shape(ref_scatter_shape)
        .not_differentiable()
}

/// Defines a minimum or maximum, for dtypes that have an order.
const fn ref_scatter_order_def(name: &'static str) -> OpDef {
    OpDef::new(name, "ref: Ref(T), indices: Tindices, updates: T -> output_ref: Ref(T)")
        .attrs("T: {half, bfloat16, float, double, int32, int64}, Tindices: indextype, use_locking: bool = false")
        .shape(ref_scatter_shape)
        .not_differentiable()
}

const fn ref_scatter_nd_def(name: &'static str) -> OpDef {
    OpDef::new(name, "ref: Ref(T), indices: Tindices, updates: T -> output_ref: Ref(T)")
        .attrs("T: numbertype, Tindices: indextype, use_locking: bool = false, bad_indices_policy: string = \"\"")
        .shape(unchanged)
        .not_differentiable()
}

// ---- what is known of the variable behind a handle -------------------------------------------------------

/// Returns the dtype and shape of the variable behind a handle or reference, if the graph determines them.
#[must_use]
pub fn variable_of(handle: &Output) -> Option<(DType, PartialShape)> {
    if handle.dtype() != DType::Resource {
        return handle.is_ref().then(|| (handle.dtype(), handle.shape().clone()));
    }
    let operation = handle.operation();
    match operation.op_type() {
        "VarHandleOp" => {
            let dtype = operation.attr("dtype")?.as_type()?;
            let shape = operation.attr("shape")?.as_shape()?.clone();
            Some((dtype, shape))
        }
        // Operations that only pass a handle on know as much as their input.
        "Identity" | "Enter" | "Exit" | "Switch" => variable_of(&operation.input(0)),
        // An argument of a function.
        _ => {
            let dtype = operation.attr(HANDLE_DTYPE)?.as_type()?;
            let shape = operation.attr(HANDLE_SHAPE)?.as_shape()?.clone();
            Some((dtype, shape))
        }
    }
}

/// Returns the attributes with which an argument of a function states what is known of the variable behind a handle.
pub(crate) fn handle_attrs(handle: &Output) -> Vec<(String, AttrValue)> {
    if handle.dtype() != DType::Resource {
        return Vec::new();
    }
    match variable_of(handle) {
        Some((dtype, shape)) => vec![
            (HANDLE_DTYPE.to_owned(), AttrValue::Type(dtype)),
            (HANDLE_SHAPE.to_owned(), AttrValue::Shape(shape)),
        ],
        None => handle_data(handle),
    }
}

/// Returns the shape of the variable behind the first input, as far as the graph determines it.
fn handle_shape(context: &ShapeContext<'_>) -> PartialShape {
    let handle = context.inputs().first();
    handle.and_then(variable_of).map_or_else(PartialShape::unknown, |(_, shape)| shape)
}

/// Returns the handle's shape, if its variable has the operation's dtype.
fn typed_handle_shape(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let known = context.inputs().first().and_then(variable_of);
    let expected = context.attr("dtype").and_then(AttrValue::as_type);
    match (known, expected) {
        (Some((dtype, _)), Some(expected)) if dtype != expected => {
            Err(Error::type_mismatch(format!("the variable holds {dtype}, not {expected}")))
        }
        (known, _) => Ok(known.map_or_else(PartialShape::unknown, |(_, shape)| shape)),
    }
}

/// Returns what is known of both shapes together.
///
/// # Errors
/// A value error if a value of this shape cannot be assigned to the variable.
fn must_fit(variable: &PartialShape, value: &PartialShape) -> Result<PartialShape> {
    let text = || format!("a value of shape {value} does not fit a variable of shape {variable}");
    variable.merge(value).ok_or_else(|| Error::value(text()))
}

// ---- shape functions -------------------------------------------------------------------------------------

fn read_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = typed_handle_shape(context)?;
    context.set(0, shape);
    Ok(())
}

fn assigned_fits(context: &mut ShapeContext<'_>) -> Result<()> {
    must_fit(&typed_handle_shape(context)?, &context.input(1)).map(drop)
}

fn rank_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = handle_shape(context).rank();
    context.set(0, PartialShape::from([rank]));
    Ok(())
}

fn gather_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (params, indices) = (typed_handle_shape(context)?, context.input(1));
    let batch = usize::try_from(int_attr(context, "batch_dims")?)
        .map_err(|_| Error::value("batch_dims must not be negative"))?;
    if params.rank().is_some_and(|rank| rank <= batch) {
        return Err(Error::value(format!("cannot gather from a variable of shape {params}")));
    }
    if indices.rank().is_some_and(|rank| rank < batch) {
        return Err(Error::value(format!("indices of shape {indices} do not have {batch} batch dimensions")));
    }
    let Some(rank) = params.rank() else { return Ok(()) };
    // The batch axes of indices are those of the variable, and must not appear twice in the result.
    let indices = if batch == 0 { indices } else { indices.range(batch, usize::MAX) };
    // `params[:batch] + indices[batch:] + params[batch + 1:]`
    context.set(0, params.range(0, batch).concat(&indices).concat(&params.range(batch + 1, rank)));
    Ok(())
}

fn gather_nd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (params, indices) = (typed_handle_shape(context)?, context.input(1));
    // The number of coordinates decides how many axes of the variable remain, so without it nothing is known.
    let Some(depth) = indices.dim_from_end(0) else { return Ok(()) };
    let Some(rank) = params.rank() else { return Ok(()) };
    if depth > rank {
        return Err(Error::value(format!("{depth} indices into a variable of shape {params}")));
    }
    let rows = indices.range(0, indices.rank().unwrap_or(1) - 1);
    context.set(0, rows.concat(&params.range(depth, rank)));
    Ok(())
}

/// Updates are one for each index, or a scalar for all.
fn check_updates(variable: &PartialShape, indices: &PartialShape, updates: &PartialShape) -> Result<()> {
    // A scalar is broadcast to all rows.
    if updates.rank() == Some(0) || variable.rank().is_none() {
        return Ok(());
    }
    let expected = indices.concat(&variable.range(1, usize::MAX));
    let text =
        || format!("updates of shape {updates} do not fit {expected} (indices, then the variable's rows)");
    expected.merge(updates).map(drop).ok_or_else(|| Error::value(text()))
}

fn updates_fit(context: &mut ShapeContext<'_>) -> Result<()> {
    check_updates(&typed_handle_shape(context)?, &context.input(1), &context.input(2))
}

fn attr_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.attr("shape").and_then(AttrValue::as_shape).cloned();
    context.set(0, shape.unwrap_or_default());
    Ok(())
}

/// Before `VariableV2`, a scalar shape stood for an unknown one.
fn old_variable_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.attr("shape").and_then(AttrValue::as_shape).cloned();
    context.set(0, shape.filter(|shape| shape.rank() != Some(0)).unwrap_or_default());
    Ok(())
}

fn assign_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (variable, value) = (context.input(0), context.input(1));
    let validate = context.attr("validate_shape").and_then(AttrValue::as_bool);
    // An assignment of any shape decides what the variable is from then on.
    let shape = if validate == Some(false) { value } else { must_fit(&variable, &value)? };
    context.set(0, shape);
    Ok(())
}

fn update_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = must_fit(&context.input(0), &context.input(1))?;
    context.set(0, shape);
    Ok(())
}

fn ref_scatter_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    check_updates(&context.input(0), &context.input(1), &context.input(2))?;
    context.set(0, context.input(0));
    Ok(())
}

// ---- gradients -------------------------------------------------------------------------------------------

/// A function's body reads a variable by itself, so that it sees what it assigns. A read at another time is another
/// matter: its value is an argument.
fn capture_read(body: &Graph, read: &Output) -> Result<Option<Output>> {
    let (operation, handle) = (read.operation(), read.operation().input(0));
    // Recognized by name: this read is the one that `Variable` hands out for every use, not a
    // read that the program placed.
    let is_snapshot = operation.name().strip_prefix(handle.operation().name())
        == Some("/Read/ReadVariableOp")
        && operation.control_input_ids().is_empty();
    if !is_snapshot {
        return Ok(None);
    }
    let handle = body.captured(&handle)?;
    let info = operation.output_infos()[0].clone();
    let builder = body.op(&READ_VARIABLE_OP).input(handle).attr("dtype", read.dtype());
    Ok(Some(builder.described_output(info).try_finish()?.output(0)))
}

/// Builds the gradient: what arrives at a read belongs to the variable, that is, to its handle.
fn read_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads.first().cloned().flatten()])
}

/// Returns a dense gradient: the rows that were read several times are summed, all others are zero.
fn gather_gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = grads.first().cloned().flatten() else { return Ok(vec![None, None]) };
    let (handle, indices) = (operation.input(0), operation.input(1));
    // A sum over rows is wrong for batches. The constructors here build only 0.
    if operation.attr("batch_dims").and_then(AttrValue::as_int) != Some(0) {
        return Err(operation.place(Error::runtime("a gather has no gradient for batch_dims other than 0")));
    }
    // The number of rows is a constant where it is known, so the sparse gradient keeps a static shape.
    let rows = match variable_of(&handle).and_then(|(_, shape)| shape.dim(0)) {
        Some(known) => Ints::from(known),
        None => {
            let sizes = variable_shape(handle.within(&grad.graph()), DType::Int32);
            Ints::from(strided_slice(sizes, &[Index::At(0)]))
        }
    };
    // Indices are not differentiable. Optimizers recognize `UnsortedSegmentSum` as rows (`IndexedSlices::of`) and update only
    // those.
    Ok(vec![Some(unsorted_segment_sum(&grad, &indices, rows)), None])
}

/// Returns a dense gradient: slices that were read several times are summed, all others are zero.
fn gather_nd_gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = grads.first().cloned().flatten() else { return Ok(vec![None, None]) };
    let (handle, indices) = (operation.input(0), operation.input(1));
    let sizes = match variable_of(&handle).and_then(|(_, shape)| shape.to_shape()) {
        Some(known) => {
            let sizes = known.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX));
            cast(constant(&grad.graph(), sizes.collect::<Vec<i64>>()), indices.dtype())
        }
        None => variable_shape(handle.within(&grad.graph()), indices.dtype()),
    };
    Ok(vec![Some(scatter_nd(&indices, &grad, sizes)), None])
}

// ---- constructors: resource variables --------------------------------------------------------------------

/// Returns a handle to a variable of a session, created at first use. Handles with one `shared_name` mean one variable;
/// an empty one stands for the operation's name.
#[must_use]
#[track_caller]
pub fn var_handle_op(
    graph: &Graph,
    dtype: DType,
    shape: impl Into<PartialShape>,
    shared_name: &str,
) -> Output {
    let builder = graph.op(&VAR_HANDLE_OP).attr("dtype", dtype).attr("shape", shape.into());
    builder.attr("shared_name", shared_name).finish_output()
}

/// Returns the variable's value at the time of the read. Fails on a variable without value (S-28).
#[must_use]
#[track_caller]
pub fn read_variable_op(resource: impl AsOutput, dtype: DType) -> Output {
    on(&resource, &READ_VARIABLE_OP).attr("dtype", dtype).finish_output()
}

/// Assigns a value to the variable.
#[must_use]
#[track_caller]
pub fn assign_variable_op(resource: impl AsOutput, value: impl AsOutput) -> Operation {
    on(&resource, &ASSIGN_VARIABLE_OP).input(value).finish()
}

/// Adds to the variable's value.
#[track_caller]
pub fn assign_add_variable_op(resource: impl AsOutput, value: impl AsOutput) -> Operation {
    on(&resource, &ASSIGN_ADD_VARIABLE_OP).input(value).finish()
}

/// Subtracts from the value of the variable.
#[track_caller]
pub fn assign_sub_variable_op(resource: impl AsOutput, value: impl AsOutput) -> Operation {
    on(&resource, &ASSIGN_SUB_VARIABLE_OP).input(value).finish()
}

/// Returns true if the variable is initialized.
#[track_caller]
pub fn var_is_initialized_op(resource: impl AsOutput) -> Output {
    on(&resource, &VAR_IS_INITIALIZED_OP).finish_output()
}

/// Removes the variable's value. Without a value it does nothing; TensorFlow's `ignore_lookup_error=False` makes that an error,
/// which [`destroy_existing_resource_op`] does.
#[must_use]
#[track_caller]
pub fn destroy_resource_op(resource: impl AsOutput) -> Operation {
    on(&resource, &DESTROY_RESOURCE_OP).attr("ignore_lookup_error", true).finish()
}

/// Works as [`destroy_resource_op`], but fails if the variable has no value.
#[must_use]
#[track_caller]
pub fn destroy_existing_resource_op(resource: impl AsOutput) -> Operation {
    on(&resource, &DESTROY_RESOURCE_OP).attr("ignore_lookup_error", false).finish()
}

/// Returns the shape of the variable's value.
#[track_caller]
pub fn variable_shape(input: impl AsOutput, out_type: DType) -> Output {
    on(&input, &VARIABLE_SHAPE).attr("out_type", out_type).finish_output()
}

/// Gathers rows of the variable's value without copying the whole.
#[must_use]
#[track_caller]
pub fn resource_gather(resource: impl AsOutput, indices: impl AsOutput, dtype: DType) -> Output {
    on(&resource, &RESOURCE_GATHER).input(indices).attr("dtype", dtype).finish_output()
}

/// Gathers slices of the variable's value. The last dimension of `indices` gives the start of each.
#[must_use]
#[track_caller]
pub fn resource_gather_nd(resource: impl AsOutput, indices: impl AsOutput, dtype: DType) -> Output {
    on(&resource, &RESOURCE_GATHER_ND).input(indices).attr("dtype", dtype).finish_output()
}

/// Returns the variable's value, which then grows by one. At `limit` it fails with code `OutOfRange` instead.
///
/// # Errors
/// In the graph, for a handle that is not that of a variable of integers.
#[must_use]
#[track_caller]
pub fn resource_count_up_to(resource: impl AsOutput, limit: i64) -> Output {
    let builder = on(&resource, &RESOURCE_COUNT_UP_TO).attr("limit", limit);
    // `T` cannot be inferred from a handle, and `Int64` only completes an operation that carries an error.
    match variable_of(resource.as_output()) {
        Some((dtype, _)) => builder.attr("T", dtype).finish_output(),
        None => {
            let text = format!("'{}' is not the handle of a variable", resource.as_output().name());
            builder.attr("T", DType::Int64).error(Error::type_mismatch(text)).finish_output()
        }
    }
}

/// Checks that the count has the dtype of the variable, whose value it is.
fn counted(context: &mut ShapeContext<'_>) -> Result<()> {
    let declared = context.inputs().first().and_then(variable_of).map(|(dtype, _)| dtype);
    let counted = context.attr("T").and_then(AttrValue::as_type);
    match (declared, counted) {
        (Some(declared), Some(counted)) if declared != counted => {
            Err(Error::type_mismatch(format!("T is {counted}, but the variable is {declared}")))
        }
        _ => scalar(context),
    }
}

#[track_caller]
fn on(resource: &impl AsOutput, def: &'static OpDef) -> OpBuilder {
    let resource = resource.as_output();
    resource.graph().op(def).input(resource)
}

macro_rules! resource_scatters {
    ($($name:ident $def:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[doc = ""]
        #[doc = "Updates are one for each index, or one scalar for all; an index that comes again counts again."]
        #[track_caller]
        pub fn $name(resource: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Operation {
            on(&resource, &$def).input(indices).input(updates).finish()
        }
    )*};
}

resource_scatters! {
    resource_scatter_add RESOURCE_SCATTER_ADD "Adds to rows of the variable's value.";
    resource_scatter_sub RESOURCE_SCATTER_SUB "Subtracts from rows of the variable's value.";
    resource_scatter_mul RESOURCE_SCATTER_MUL "Multiplies rows of the variable's value.";
    resource_scatter_div RESOURCE_SCATTER_DIV "Divides rows of the variable's value.";
    resource_scatter_min RESOURCE_SCATTER_MIN "Keeps the smaller of rows of the variable's value and the updates.";
    resource_scatter_max RESOURCE_SCATTER_MAX "Keeps the larger of rows of the variable's value and the updates.";
    resource_scatter_update RESOURCE_SCATTER_UPDATE "Replaces rows of the variable's value.";
    resource_scatter_nd_update RESOURCE_SCATTER_ND_UPDATE "Replaces slices of the variable's value.";
    resource_scatter_nd_add RESOURCE_SCATTER_ND_ADD "Adds to slices of the variable's value.";
    resource_scatter_nd_sub RESOURCE_SCATTER_ND_SUB "Subtracts from slices of the variable's value.";
    resource_scatter_nd_min RESOURCE_SCATTER_ND_MIN "Keeps the smaller of slices of the variable's value and the updates.";
    resource_scatter_nd_max RESOURCE_SCATTER_ND_MAX "Keeps the larger of slices of the variable's value and the updates.";
}

// ---- constructors: reference variables -------------------------------------------------------------------

/// Returns a reference variable: its output is the variable, and what reads it sees the value of that moment.
///
/// ```
/// use ops::{array::constant, state};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let w = state::variable_v2(&graph, DType::Float32, [2]);
/// assert_eq!(w.operation().op_type(), "VariableV2");
/// # let _ = constant(&graph, 0);
/// ```
#[must_use]
#[track_caller]
pub fn variable_v2(graph: &Graph, dtype: DType, shape: impl Into<PartialShape>) -> Output {
    graph.op(&VARIABLE_V2).attr("dtype", dtype).attr("shape", shape.into()).finish_output()
}

/// Returns true if the reference variable is initialized.
///
/// ```
/// use ops::{array::constant, state};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let w = state::variable_v2(&graph, DType::Float32, [2]);
/// assert_eq!(state::is_variable_initialized(&w).dtype(), DType::Bool);
/// # let _ = constant(&graph, 0);
/// ```
#[must_use]
#[track_caller]
pub fn is_variable_initialized(reference: impl AsOutput) -> Output {
    on(&reference, &IS_VARIABLE_INITIALIZED).finish_output()
}

/// Assigns a value of the same shape to the reference variable. The output is the variable.
///
/// ```
/// use ops::{array::constant, state};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let w = state::variable_v2(&graph, DType::Float32, [2]);
/// let assigned = state::assign(&w, constant(&graph, [1.0f32, 2.0]));
/// assert_eq!(assigned.operation().op_type(), "Assign");
/// ```
#[must_use]
#[track_caller]
pub fn assign(reference: impl AsOutput, value: impl AsOutput) -> Output {
    on(&reference, &ASSIGN).input(value).attr("validate_shape", true).finish_output()
}

/// Assigns a value of any shape to the reference variable: TensorFlow's `validate_shape=False`. The output is the variable,
/// whose static shape is then unknown.
#[must_use]
#[track_caller]
pub fn assign_any_shape(reference: impl AsOutput, value: impl AsOutput) -> Output {
    on(&reference, &ASSIGN).input(value).attr("validate_shape", false).finish_output()
}

/// Adds to the reference variable's value. The output is the variable.
///
/// ```
/// use ops::{array::constant, state};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let w = state::variable_v2(&graph, DType::Float32, [2]);
/// let added = state::assign_add(&w, constant(&graph, [1.0f32, 2.0]));
/// assert_eq!(added.operation().op_type(), "AssignAdd");
/// ```
#[must_use]
#[track_caller]
pub fn assign_add(reference: impl AsOutput, value: impl AsOutput) -> Output {
    on(&reference, &ASSIGN_ADD).input(value).finish_output()
}

/// Subtracts from the value of the reference variable. The output is the variable.
///
/// ```
/// use ops::{array::constant, state};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let w = state::variable_v2(&graph, DType::Float32, [2]);
/// let subtracted = state::assign_sub(&w, constant(&graph, [1.0f32, 2.0]));
/// assert_eq!(subtracted.operation().op_type(), "AssignSub");
/// ```
#[must_use]
#[track_caller]
pub fn assign_sub(reference: impl AsOutput, value: impl AsOutput) -> Output {
    on(&reference, &ASSIGN_SUB).input(value).finish_output()
}

/// Returns the reference variable's value, which then grows by one. At `limit` it fails with code `OutOfRange` instead.
#[must_use]
#[track_caller]
pub fn count_up_to(reference: impl AsOutput, limit: i64) -> Output {
    on(&reference, &COUNT_UP_TO).attr("limit", limit).finish_output()
}

macro_rules! reference_scatters {
    ($($name:ident $def:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[doc = ""]
        #[doc = "The output is the variable. An index that comes again counts again."]
        #[track_caller]
        pub fn $name(reference: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Output {
            on(&reference, &$def).input(indices).input(updates).finish_output()
        }
    )*};
}

reference_scatters! {
    scatter_update SCATTER_UPDATE "Replaces rows of the reference variable's value.";
    scatter_add SCATTER_ADD "Adds to rows of the reference variable's value.";
    scatter_sub SCATTER_SUB "Subtracts from rows of the reference variable's value.";
    scatter_mul SCATTER_MUL "Multiplies rows of the reference variable's value.";
    scatter_div SCATTER_DIV "Divides rows of the reference variable's value.";
    scatter_min SCATTER_MIN "Keeps the smaller of rows of the reference variable's value and the updates.";
    scatter_max SCATTER_MAX "Keeps the larger of rows of the reference variable's value and the updates.";
    scatter_nd_update SCATTER_ND_UPDATE "Replaces slices of the reference variable's value.";
    scatter_nd_add SCATTER_ND_ADD "Adds to slices of the reference variable's value.";
    scatter_nd_sub SCATTER_ND_SUB "Subtracts from slices of the reference variable's value.";
    scatter_nd_min SCATTER_ND_MIN "Keeps the smaller of slices of the reference variable's value and the updates.";
    scatter_nd_max SCATTER_ND_MAX "Keeps the larger of slices of the reference variable's value and the updates.";
}
