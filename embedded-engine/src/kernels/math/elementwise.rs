//! Functions of single elements, with broadcasting.
//!
//! # Semantics
//!
//! Operands are broadcast by aligning their last axes; sizes must be equal or 1. Integer arithmetic wraps,
//! and division by zero is an `InvalidArgument` error. Floating-point operations follow IEEE 754. 16-bit
//! types are computed in `float32` and rounded after each operation.
//!
//! `Cast` truncates floats toward zero. Numbers beyond the range of an integer dtype, and NaN, are undefined
//! in TensorFlow; here they become the nearest limit, and 0. Complex numbers lose their imaginary part.
//! `Select` requires equal shapes, or a vector as condition for rows; `SelectV2` broadcasts all three
//! operands.
//!
//! - The operations of `UnaryOp::ALL`, `Inv` and `Rint` take `x` and return a tensor of its dtype and shape.
//! - The operations of `BinaryOp::ALL`, `AddV2`, `RealDiv`, `TruncateMod` and `InvGrad` take `x` and `y` of
//!   one dtype and return that dtype in the broadcast shape.
//! - The operations of `CompareOp::ALL` take `x` and `y` of one dtype and return `bool` in the broadcast
//!   shape.
//! - The operations of `TestOp::ALL` take a float `x` and return `bool` in its shape.
//! - `Cast` takes `x` of the dtype `SrcT` and returns its elements as `DstT`.
//! - `AddN` and `AccumulateNV2` take one or more summands of one shape and return their sum.
//! - `Select` takes `condition`, `t` and `e`, the last two of one shape, which the result has.
//! - `SelectV2` takes the same and broadcasts all three.
//! - `ClipByValue` takes `t`, `clip_value_min` and `clip_value_max` and returns the shape of `t`.
//!
//! # Errors
//!
//! Shapes that do not fit, a zero divisor of integers and a negative exponent of integers are
//! `InvalidArgument`, and they are reported when the step runs. An op type that has no meaning for a dtype
//! (`FloorMod` of complex numbers, `Less` of strings) is `Unimplemented` and is reported when the plan is
//! compiled. `Equal` and `NotEqual` also compare strings, but only of equal shapes or with a single string;
//! `Add` concatenates them; `AddN` of variants adds what they hold.
//!
//! # Memory and threads
//!
//! A result is written over an operand that nothing else holds if the shapes allow it, otherwise into memory
//! of the session's pool. Empty operands cost no work and are no error. Each element is computed by one
//! thread from its own operands, so the bits depend neither on the number of threads nor on whether the
//! result was written in place. All loops except those of strings and handles run in parallel.
//!
//! # Examples
//!
//! ```text
//! Add   [[1, 2, 3], [4, 5, 6]]  [10, 20, 30]      -> [[11, 22, 33], [14, 25, 36]]
//! Add   [[1], [2]]              [10, 20, 30]      -> [[11, 21, 31], [12, 22, 32]]
//! Add   [1, 2]                  [10, 20, 30]      -> InvalidArgument
//! Cast  [-1.5, 1.5, NaN, 1e20] to int32           -> [-1, 1, 0, 2147483647]
//! Select    [true, false]  [[1, 2], [3, 4]]  [[5, 6], [7, 8]]  -> [[1, 2], [7, 8]]
//! SelectV2  [true, false]  [[1, 2], [3, 4]]  [[5, 6], [7, 8]]  -> [[1, 6], [3, 8]]
//! ```
//!
//! The last two lines are the reason for two versions: the vector chooses rows in the first and columns in
//! the second.
//!
//! # Adding an op
//!
//! A function of one or two numbers needs its formula in `compute::elementwise` and its definition in the
//! crate `ops`. The loops of `register` find it by its name, and so does the compiler, which lets it take
//! part in chains.

use crate::kernel::{Kernel, KernelContext, NodeSpec, values};
use crate::kernels::Moved;
use crate::kernels::array::spread;
use crate::registry::{Elementwise, Fusion, Registry};
use compute::elementwise::{
    self, ArithmeticError, BinaryFn, BinaryKernel, BinaryOp, Broadcast, BroadcastError, CompareOp,
    Element as _, TestOp, UnaryKernel, UnaryOp,
};
use session_core::{AttrValue, Code, Error, Operation, Result};
use tensor::{Complex, DType, Element, Shape, Tensor, f16, memory};

/// Registers the op types of this file, together with what the plan compiler may do with them: `chains` names
/// the loop that `chain.rs` may run as part of one pass, for `f32`; `fuses` marks the sums and `Relu` that a
/// product or a convolution absorbs.
pub(crate) fn register(registry: &mut Registry) {
    // `Inv` and `Rint` are not names of the list, but `from_name` resolves them to `Reciprocal` and `Round`.
    for op_type in UnaryOp::ALL.iter().map(|op| op.name()).chain(["Inv", "Rint"]) {
        registry.add(op_type, make_unary).chains(|op| unary_kernel(op).map(Elementwise::Unary));
    }
    let aliases = ["AddV2", "RealDiv", "TruncateMod", "InvGrad"];
    for op_type in BinaryOp::ALL.iter().map(|op| op.name()).chain(aliases) {
        registry.add(op_type, make_binary).chains(|op| binary_kernel(op).map(Elementwise::Binary));
    }
    registry.of(["Add", "AddV2"]).fuses(Fusion::Sum);
    registry.of(["Relu"]).fuses(Fusion::Relu);
    for op in CompareOp::ALL {
        registry.add(op.name(), make_compare);
    }
    for op in TestOp::ALL {
        registry.add(op.name(), make_test);
    }
    registry.add("Cast", make_cast);
    for op_type in ["AddN", "AccumulateNV2"] {
        registry.add(op_type, |spec| match spec.input_dtype(0) {
            DType::Variant => Ok(boxed(crate::kernels::variants::add)),
            dtype => for_dtype!(number dtype, T => Ok(boxed(add_n::<T>))),
        });
    }
    registry.of(["AddN", "AccumulateNV2"]).chains(|_| Some(Elementwise::Sum)).fuses(Fusion::Summands);
    // Selection never looks at the values, so one loop for each width of elements serves all dtypes of that
    // width.
    registry.add("SelectV2", |spec| match spec.input_dtype(1) {
        dtype if dtype.is_plain() => for_dtype!(bits dtype, T => Ok(boxed(select_v2::<T>))),
        _ => Ok(boxed(|context| select_whole(context, false))),
    });
    registry.add("Select", |spec| match spec.input_dtype(1) {
        dtype if dtype.is_plain() => for_dtype!(bits dtype, T => Ok(boxed(select_v1::<T>))),
        _ => Ok(boxed(|context| select_whole(context, true))),
    });
    registry
        .add("ClipByValue", |spec| for_dtype!(real spec.input_dtype(0), T => Ok(boxed(clip_by_value::<T>))));
}

/// Wraps a closure as a kernel. A closure is a kernel if it only needs the context of the step; what it
/// captures was decided when the plan was compiled.
pub(crate) fn boxed(
    kernel: impl Fn(&mut KernelContext<'_>) -> Result<()> + Send + Sync + 'static,
) -> Box<dyn Kernel> {
    Box::new(kernel)
}

/// Returns the `Unimplemented` error for an op type without a loop for this dtype, with the op type in its
/// text: `dispatch::unsupported` names the dtype alone.
fn unsupported(spec: &NodeSpec<'_>, dtype: DType) -> Error {
    let text = format!("the embedded engine has no {} for {dtype}", spec.operation.op_type());
    Error::new(Code::Unimplemented, text)
}

/// Returns the elements of an input, repeated to a shape.
///
/// Takes a copy even if the input has that shape already, so it is for kernels that combine several operands
/// by element and are not worth a loop of their own in `compute`.
pub(super) fn widened<T: Element + elementwise::Element>(
    context: &KernelContext<'_>,
    input: usize,
    dims: &Shape,
) -> Result<Vec<T>> {
    repeated(context, context.input(input).shape(), context.slice::<T>(input)?, dims)
}

/// Returns `values` of shape `shape`, repeated to the shape `dims` in row-major order: `[1, 2]` of shape
/// `[2, 1]`, repeated to `[2, 3]`, gives `[1, 1, 1, 2, 2, 2]`. Fails as incompatible if `shape` does not
/// broadcast to `dims`.
pub(crate) fn repeated<T: Element + elementwise::Element>(
    context: &KernelContext<'_>,
    shape: &Shape,
    values: &[T],
    dims: &Shape,
) -> Result<Vec<T>> {
    let mut wide = memory::filled(T::default(), dims.elements())?;
    elementwise::layout::broadcast_to(context.pool(), shape, dims, values, &mut wide)
        .map_err(|error| incompatible(&error))?;
    Ok(wide)
}

/// Returns an error for shapes that do not fit together, or whose dimensions are too many to be broadcast.
pub(crate) fn incompatible(error: &BroadcastError) -> Error {
    if let BroadcastError::RankTooHigh { .. } = error {
        return Error::new(Code::Unimplemented, error.to_string());
    }
    Error::invalid_argument(format!("Incompatible shapes: {error}"))
}

/// Converts an error of integer arithmetic, a zero divisor or a negative exponent, to `InvalidArgument`.
/// Loops of floats never return one.
fn arithmetic(error: ArithmeticError) -> Error {
    Error::invalid_argument(error.to_string())
}

/// Returns the attribute `alpha`, the slope of `LeakyRelu` and `LeakyReluGrad` below zero. Other op types do
/// not have it.
fn alpha(operation: &Operation) -> Option<f32> {
    operation.attr("alpha").and_then(AttrValue::as_float)
}

/// Returns the loop of an operation of one operand, with its parameter, if there is one for the type.
///
/// The name of the op type is that of the operation in `compute`, or one of its aliases there.
fn unary_kernel<T: elementwise::Element>(operation: &Operation) -> Option<UnaryKernel<T>> {
    let kernel = T::unary(UnaryOp::from_name(operation.op_type())?)?;
    Some(alpha(operation).map_or(kernel, |alpha| kernel.with_alpha(alpha)))
}

/// Returns the loop of an operation of two operands, with its parameter, if there is one for the type. Both
/// operands and the result have that type.
fn binary_kernel<T: elementwise::Element>(operation: &Operation) -> Option<BinaryKernel<T>> {
    let kernel = T::binary(BinaryOp::from_name(operation.op_type())?)?;
    Some(alpha(operation).map_or(kernel, |alpha| kernel.with_alpha(alpha)))
}

/// Returns the kernel of an op type of one operand. The loop is looked up here, by dtype, so that a step does
/// not branch on it.
fn make_unary(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    for_dtype!(all dtype, T => {
        let kernel = unary_kernel::<T>(spec.operation).ok_or_else(|| unsupported(spec, dtype))?;
        Ok(boxed(move |context| unary::<T>(context, &kernel)))
    })
}

/// Delivers the function of input 0 as output 0.
fn unary<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    kernel: &UnaryKernel<T>,
) -> Result<()> {
    let x = context.take(0);
    let result = apply_unary(context, kernel, x)?;
    context.set(0, result);
    Ok(())
}

/// Returns the function of a tensor, with the shape of `x`. The result is written over `x` if nothing else
/// holds its memory.
pub(super) fn apply_unary<T: Element + elementwise::Element>(
    context: &KernelContext<'_>,
    kernel: &UnaryKernel<T>,
    mut x: Tensor,
) -> Result<Tensor> {
    if let Some(data) = x.as_mut_slice::<T>() {
        kernel.run_in_place(context.pool(), data);
        return Ok(x);
    }
    context.made::<T>(x.shape().clone(), |output| {
        kernel.run(context.pool(), x.as_slice()?, output);
        Ok(())
    })
}

/// Returns the kernel of an op type of two operands of one dtype. `Add` of strings is the only one that is
/// not arithmetic.
fn make_binary(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    // Only the oldest version of the op takes strings; the definition of `AddV2` does not.
    if dtype == DType::String && spec.operation.op_type() == "Add" {
        return Ok(boxed(crate::kernels::strings::add));
    }
    for_dtype!(all dtype, T => {
        let kernel = binary_kernel::<T>(spec.operation).ok_or_else(|| unsupported(spec, dtype))?;
        Ok(boxed(move |context| binary::<T>(context, &kernel)))
    })
}

/// Delivers the function of inputs 0 and 1, broadcast, as output 0. Both inputs are taken, not borrowed: at
/// their last use one of them holds the result afterwards.
fn binary<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    kernel: &BinaryKernel<T>,
) -> Result<()> {
    let (a, b) = (context.take(0), context.take(1));
    let result = apply_binary(context, kernel, a, b)?;
    context.set(0, result);
    Ok(())
}

/// Applies a function of two tensors, in place if no other tensor shares one of them.
///
/// Operands of equal shapes, and an operand of one element, need no broadcast plan (see `flat`) and are tried
/// first. A result that has the shape of no operand, as of `[2, 1]` and `[3]`, goes to new memory. Fails if
/// the shapes do not broadcast or the arithmetic of integers fails.
///
/// `kernel` is the loop for the dtype of `a` and `b`. Each operand must be the caller's own reference, so
/// that the last one to a tensor is recognized.
pub(super) fn apply_binary<T: Element + elementwise::Element>(
    context: &KernelContext<'_>,
    kernel: &BinaryKernel<T>,
    mut a: Tensor,
    mut b: Tensor,
) -> Result<Tensor> {
    let pool = context.pool();
    // From the cheapest form to the most expensive: in place without a plan, without a plan, in place, and
    // new memory with a plan.
    if let Some(side) = flat(a.shape(), b.shape()) {
        if side != Side::Right
            && let Some(data) = a.as_mut_slice::<T>()
        {
            kernel.run_flat_in_place_left(pool, data, b.as_slice()?).map_err(arithmetic)?;
            return Ok(a);
        }
        if side != Side::Left
            && let Some(data) = b.as_mut_slice::<T>()
        {
            kernel.run_flat_in_place_right(pool, a.as_slice()?, data).map_err(arithmetic)?;
            return Ok(b);
        }
        let shape = if side == Side::Right { b.shape() } else { a.shape() };
        return context.made::<T>(shape.clone(), |output| {
            kernel.run_flat(pool, a.as_slice()?, b.as_slice()?, output).map_err(arithmetic)
        });
    }
    let plan = Broadcast::new([a.shape(), b.shape()]).map_err(|error| incompatible(&error))?;
    // An operand may be overwritten only if it has every element of the result; a repeated one is still read
    // afterwards.
    if plan.is_full(0)
        && let Some(data) = a.as_mut_slice::<T>()
    {
        kernel.run_in_place_left(pool, &plan, data, b.as_slice()?).map_err(arithmetic)?;
        return with_shape(a, plan.output_shape());
    }
    if plan.is_full(1)
        && let Some(data) = b.as_mut_slice::<T>()
    {
        kernel.run_in_place_right(pool, &plan, a.as_slice()?, data).map_err(arithmetic)?;
        return with_shape(b, plan.output_shape());
    }
    context.made::<T>(Shape::new(plan.output_shape()), |output| {
        kernel.run(pool, &plan, a.as_slice()?, b.as_slice()?, output).map_err(arithmetic)
    })
}

/// The operand whose shape the result has. `Both` means equal shapes, so either operand may be overwritten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The result has the shape of the left operand; the right one has a single element.
    Left,
    /// The result has the shape of the right operand; the left one has a single element.
    Right,
    /// Both operands have the shape of the result.
    Both,
}

/// Returns the operand whose shape the result has, if no other operand has to be repeated than one of a
/// single element. Such operands need no [`Broadcast`], and making one takes longer than adding two numbers:
/// a loop does little else.
fn flat(a: &Shape, b: &Shape) -> Option<Side> {
    // The rank is compared, too: `[1, 1]` and `[3]` broadcast to `[1, 3]`, which is the shape of neither.
    let single =
        |shape: &Shape, other: &Shape| shape.rank() <= other.rank() && shape.iter().all(|&size| size == 1);
    if a == b {
        Some(Side::Both)
    } else if single(b, a) {
        Some(Side::Left)
    } else if single(a, b) {
        Some(Side::Right)
    } else {
        None
    }
}

/// Returns the tensor with the shape of the result. The shapes differ if leading dimensions of 1 come from
/// the other operand: `[3]` and `[1, 3]` have a result of shape `[1, 3]`, which was written over the elements
/// of `[3]`.
fn with_shape(tensor: Tensor, shape: &[usize]) -> Result<Tensor> {
    if tensor.shape().dims() == shape { Ok(tensor) } else { Ok(tensor.reshaped(shape)?) }
}

/// Returns the kernel of a comparison. Strings have only `Equal` and `NotEqual`, complex numbers as well; the
/// order of other dtypes is that of the numbers, and a comparison with NaN is false except `NotEqual`.
///
/// With `incompatible_shape_error` false, which Python's `==` sets, tensors that do not broadcast are unequal
/// as a whole.
fn make_compare(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    let op = CompareOp::from_name(spec.operation.op_type()).ok_or_else(|| unsupported(spec, dtype))?;
    // The answer for shapes that do not broadcast, if that is not an error.
    let otherwise =
        (!spec.bool("incompatible_shape_error").unwrap_or(true)).then_some(op == CompareOp::NotEqual);
    // Strings have no loop in `compute`, which knows numbers only.
    if dtype == DType::String {
        return match op {
            CompareOp::Equal | CompareOp::NotEqual => {
                Ok(boxed(move |context| compare_strings(context, op == CompareOp::Equal, otherwise)))
            }
            _ => Err(unsupported(spec, dtype)),
        };
    }
    for_dtype!(all dtype, T => {
        let kernel = T::compare(op).ok_or_else(|| unsupported(spec, dtype))?;
        Ok(boxed(move |context| {
            let (a, b) = (context.input(0).shape(), context.input(1).shape());
            if let Some(side) = flat(a, b) {
                let shape = if side == Side::Right { b } else { a }.clone();
                return context.produce::<bool>(0, shape, |context, output| {
                    let (a, b) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
                    kernel.run_flat(context.pool(), a, b, output).map_err(arithmetic)
                });
            }
            let Some(plan) = comparable(context, otherwise)? else { return Ok(()) };
            context.produce::<bool>(0, Shape::new(plan.output_shape()), |context, output| {
                let (a, b) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
                kernel.run(context.pool(), &plan, a, b, output).map_err(arithmetic)
            })
        }))
    })
}

/// Returns how inputs 0 and 1 are broadcast. Where they are not and there is an answer for that, it is
/// delivered and `None` returned.
fn comparable(context: &mut KernelContext<'_>, otherwise: Option<bool>) -> Result<Option<Broadcast<2>>> {
    match (Broadcast::new([context.input(0).shape(), context.input(1).shape()]), otherwise) {
        (Ok(plan), _) => Ok(Some(plan)),
        (Err(error), None) => Err(incompatible(&error)),
        (Err(_), Some(answer)) => {
            context.set(0, Tensor::from(answer));
            Ok(None)
        }
    }
}

/// Delivers the equality of strings, broadcast as numbers are. With `equal` false, delivers the inequality.
/// `otherwise` is that of shapes that do not broadcast, `None` if they are an error.
fn compare_strings(context: &mut KernelContext<'_>, equal: bool, otherwise: Option<bool>) -> Result<()> {
    let Some(plan) = comparable(context, otherwise)? else { return Ok(()) };
    let shape = Shape::new(plan.output_shape());
    // One string stands for all; other tensors are spread out first where they have to be.
    let side = |input: usize| match context.input(input) {
        single if single.elements() == 1 => Ok(single.clone()),
        other => spread(context, other, &shape, incompatible),
    };
    let (a, b) = (side(0)?, side(1)?);
    let (x, y) = (a.as_strings()?, b.as_strings()?);
    context.produce::<bool>(0, shape.clone(), |_, output| {
        for (i, out) in output.iter_mut().enumerate() {
            *out = (x[if x.len() == 1 { 0 } else { i }] == y[if y.len() == 1 { 0 } else { i }]) == equal;
        }
        Ok(())
    })
}

/// Returns the kernel of a test of floats: `IsNan`, `IsInf`, `IsFinite`. The result is never written in
/// place, as `bool` has another width.
fn make_test(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    let op = TestOp::from_name(spec.operation.op_type()).ok_or_else(|| unsupported(spec, dtype))?;
    for_dtype!(float dtype, T => {
        let kernel = T::test(op).ok_or_else(|| unsupported(spec, dtype))?;
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            context.produce::<bool>(0, shape, |context, output| {
                kernel.run(context.pool(), context.slice::<T>(0)?, output);
                Ok(())
            })
        }))
    })
}

/// Returns the kernel of `Cast`, which converts by element; a cast to the same dtype forwards its input.
/// Strings, variants and handles are `Unimplemented`, as they are in TensorFlow.
///
/// With the attribute `Truncate`, digits that a narrower float lacks are cut off and not rounded.
fn make_cast(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let (from, to) = (spec.input_dtype(0), spec.dtype("DstT")?);
    // Graphs contain such casts where a model was written for several dtypes; a clone of the tensor shares
    // its memory.
    if from == to {
        return Ok(boxed(|context| {
            let value = context.take(0);
            context.set(0, value);
            Ok(())
        }));
    }
    if !from.is_plain() || !to.is_plain() {
        return Err(Error::new(
            Code::Unimplemented,
            format!("the embedded engine has no Cast of {from} to {to}"),
        ));
    }
    let lost = if spec.bool("Truncate")? { lost_digits(from, to) } else { 0 };
    Ok(boxed(move |context| {
        let shape = context.input(0).shape().clone();
        let value = context.input(0);
        let value = if lost == 0 { value.clone() } else { without_last_digits(value, lost)? };
        context.produce_values(0, to, shape, &|context, output| {
            elementwise::cast_values(context.pool(), values(&value)?, output);
            Ok(())
        })
    }))
}

/// Returns the number of binary digits that floats of one dtype have behind those of another; 0 for other
/// conversions, which have no digits to cut off.
fn lost_digits(from: DType, to: DType) -> u32 {
    // The digits behind the point of the significand.
    let digits = |dtype: DType| match dtype {
        DType::Float64 | DType::Complex128 => Some(52),
        DType::Float32 | DType::Complex64 => Some(23),
        DType::Float16 => Some(10),
        DType::BFloat16 => Some(7),
        _ => None,
    };
    digits(from).zip(digits(to)).map_or(0, |(from, to): (u32, u32)| from.saturating_sub(to))
}

/// Returns a tensor of floats or complex numbers with the last `digits` of each number 0. NaN stays NaN.
fn without_last_digits(value: &Tensor, digits: u32) -> Result<Tensor> {
    fn cut<T: Element>(value: &Tensor, cut: impl Fn(&T) -> T) -> Result<Tensor> {
        let cut = memory::collected(value.as_slice::<T>()?.iter().map(cut))?;
        Ok(Tensor::from_vec(cut, value.shape().clone())?)
    }
    let single = |x: f32| if x.is_nan() { x } else { f32::from_bits(x.to_bits() & (u32::MAX << digits)) };
    let double = |x: f64| if x.is_nan() { x } else { f64::from_bits(x.to_bits() & (u64::MAX << digits)) };
    match value.dtype() {
        DType::Float32 => cut(value, |&x| single(x)),
        DType::Float64 => cut(value, |&x| double(x)),
        DType::Complex64 => cut(value, |x: &Complex<f32>| Complex::new(single(x.re), single(x.im))),
        DType::Complex128 => cut(value, |x: &Complex<f64>| Complex::new(double(x.re), double(x.im))),
        _ => cut(
            value,
            |&x: &f16| if x.is_nan() { x } else { f16::from_bits(x.to_bits() & (u16::MAX << digits)) },
        ),
    }
}

/// Checks that an operand of a sum has the shape of the first one. `AddN` does not broadcast.
pub(super) fn check_summands(first: &Shape, other: &Shape) -> Result<()> {
    if first == other {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("Inputs to AddN must have equal shapes: {first} and {other}")))
}

/// Delivers the sum of all inputs, added from the first to the last at each element, so the bits equal those
/// of `a + b + c`. Reads all summands in one pass over memory, which is faster than to overwrite one of them
/// several times.
fn add_n<T: Element + elementwise::Element>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    for i in 1..context.num_inputs() {
        check_summands(&shape, context.input(i).shape())?;
    }
    context.produce::<T>(0, shape, |context, output| {
        let inputs: Vec<&[T]> = (0..context.num_inputs()).map(|i| context.slice(i)).collect::<Result<_>>()?;
        elementwise::add_n(context.pool(), &inputs, output);
        Ok(())
    })
}

/// Delivers elements of `t` where the condition is true and of `e` elsewhere. All three operands are
/// broadcast. `T` is any type of the width of the elements; they are moved and never interpreted, so NaN
/// payloads survive.
fn select_v2<T: Moved + elementwise::Element>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(1).dtype();
    let shapes =
        [context.input(0).shape().dims(), context.input(1).shape().dims(), context.input(2).shape().dims()];
    let plan = Broadcast::new(shapes).map_err(|error| incompatible(&error))?;
    context.produce_moved::<T>(0, dtype, Shape::new(plan.output_shape()), |context, output| {
        let (condition, a, b) = (context.slice::<bool>(0)?, context.moved::<T>(1)?, context.moved::<T>(2)?);
        elementwise::select(context.pool(), &plan, condition, a, b, output);
        Ok(())
    })
}

/// Selects by the older rules: the condition has the shape of the values, is a scalar, or is a vector that
/// selects rows.
///
/// Of equal ranks a vector condition is elementwise: only for values of rank 2 or more it chooses rows. For
/// example, a condition `[true, false]` and values of shape `[2, 3]` give row 0 of `t` above row 1 of `e`.
fn select_v1<T: Moved + elementwise::Element>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(1).dtype();
    let (condition, values) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    if *context.input(2).shape() != values {
        let text =
            format!("'then' and 'else' must have the same shape: {values} and {}", context.input(2).shape());
        return Err(Error::invalid_argument(text));
    }
    // A condition of the length of the values' first axis, turned into `[rows, 1, 1, ...]`, which broadcasts
    // along the row.
    let chooses_rows = condition.rank() == 1 && values.rank() > 1 && values.first() == condition.first();
    let condition: Shape = if chooses_rows {
        std::iter::once(values[0]).chain(std::iter::repeat_n(1, values.rank() - 1)).collect()
    } else {
        chosen_by(&condition, &values)?;
        condition
    };
    let plan = Broadcast::new([condition.dims(), values.dims(), values.dims()]);
    let plan = plan.map_err(|error| incompatible(&error))?;
    context.produce_moved::<T>(0, dtype, values, |context, output| {
        let (condition, a, b) = (context.slice::<bool>(0)?, context.moved::<T>(1)?, context.moved::<T>(2)?);
        elementwise::select(context.pool(), &plan, condition, a, b, output);
        Ok(())
    })
}

/// Checks that a condition of `Select` is a scalar or has the shape of the values. The caller has handled
/// vectors that choose rows before.
fn chosen_by(condition: &Shape, values: &Shape) -> Result<()> {
    if condition.rank() == 0 || condition == values {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "a condition of shape {condition} does not choose from values of shape {values}"
    )))
}

/// Returns the lesser of two numbers, and the first if one of them is NaN: C++'s `min`, which TensorFlow uses where
/// [`f32::min`] would replace NaN.
#[inline(always)]
pub(crate) fn lesser<T: PartialOrd>(x: T, y: T) -> T {
    if y < x { y } else { x }
}

/// Returns the greater of two numbers, as [`lesser`] does.
#[inline(always)]
pub(crate) fn greater<T: PartialOrd>(x: T, y: T) -> T {
    if y > x { y } else { x }
}

/// The function [`lesser`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Lesser;

impl<T: elementwise::Element + PartialOrd> BinaryFn<T> for Lesser {
    const PICOSECONDS: usize = 100;

    #[inline(always)]
    fn call(x: T, y: T, _alpha: f32) -> T {
        lesser(x, y)
    }
}

/// The function [`greater`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Greater;

impl<T: elementwise::Element + PartialOrd> BinaryFn<T> for Greater {
    const PICOSECONDS: usize = 100;

    #[inline(always)]
    fn call(x: T, y: T, _alpha: f32) -> T {
        greater(x, y)
    }
}

/// Delivers `max(min(t, clip_value_max), clip_value_min)`. The lower bound is applied last, so it wins where
/// the bounds are in the wrong order. Bounds are scalars or of the shape of `t`; NaN in `t` stays NaN, and a
/// bound that is NaN is none. For example, `[-3, 0.5, 7]` between 0 and 1 gives `[0, 0.5, 1]`.
fn clip_by_value<T>(context: &mut KernelContext<'_>) -> Result<()>
where
    T: Element + elementwise::Element + PartialOrd,
{
    let (least, most) = (BinaryKernel::<T>::new::<Lesser>(), BinaryKernel::<T>::new::<Greater>());
    let shape = context.input(0).shape().clone();
    let plan = |bound: usize, context: &KernelContext<'_>| {
        let bound = context.input(bound).shape();
        if bound.rank() > 0 && *bound != shape {
            let text = format!(
                "clip_value_min and clip_value_max must be either of the same shape as input, or a scalar: a bound of \
                 shape {bound} for {shape}"
            );
            return Err(Error::invalid_argument(text));
        }
        Broadcast::new([shape.dims(), bound.dims()]).map_err(|error| incompatible(&error))
    };
    // Both bounds are checked before anything is written.
    let (low, high) = (plan(1, context)?, plan(2, context)?);
    context.produce::<T>(0, shape.clone(), |context, output| {
        least.run(context.pool(), &high, context.slice(0)?, context.slice(2)?, output).map_err(arithmetic)?;
        most.run_in_place_left(context.pool(), &low, output, context.slice(1)?).map_err(arithmetic)
    })
}

/// Selects among strings or handles: one value or the other by a single condition, or each string by its own
/// condition. The older form's vector of conditions chooses among rows.
///
/// Inputs are strings, variants or handles, whose elements cannot be copied by width. A scalar condition
/// moves one of the values as a whole, so a handle keeps its identity.
fn select_whole(context: &mut KernelContext<'_>, by_rows: bool) -> Result<()> {
    let [condition, yes, no] = [0, 1, 2].map(|input| context.input(input).shape().clone());
    if by_rows && yes != no {
        let text = format!("'then' and 'else' must have the same shape: {yes} and {no}");
        return Err(Error::invalid_argument(text));
    }
    if condition.rank() == 0 && yes == no {
        let chosen = if context.input(0).value::<bool>()? { 1 } else { 2 };
        let value = context.take(chosen);
        context.set(0, value);
        return Ok(());
    }
    let condition: Shape =
        if by_rows && condition.rank() == 1 && yes.rank() > 1 && yes.first() == condition.first() {
            condition.iter().copied().chain(std::iter::repeat_n(1, yes.rank() - 1)).collect()
        } else {
            if by_rows {
                chosen_by(&condition, &yes)?;
            }
            condition
        };
    let plan =
        Broadcast::new([condition.dims(), yes.dims(), no.dims()]).map_err(|error| incompatible(&error))?;
    let output = Shape::new(plan.output_shape());
    let conditions = context.slice::<bool>(0)?;
    let place = |element: usize| match conditions[operand_element(element, &output, &condition)] {
        true => Some((0, operand_element(element, &output, &yes))),
        false => Some((1, operand_element(element, &output, &no))),
    };
    let values = [context.input(1), context.input(2)];
    let value = crate::kernels::array::arrange(context, &values, output.clone(), 1, &place, None)?;
    context.set(0, value);
    Ok(())
}

/// Returns the element of an operand that an element of the broadcast result takes.
///
/// Index arithmetic from the last axis: an axis of size 1 in the operand, or one that it lacks, contributes
/// nothing. Element 5 of an output of shape `[2, 3]` takes element 1 of an operand of shape `[2, 1]` and
/// element 2 of an operand of shape `[3]`.
fn operand_element(element: usize, output: &Shape, operand: &Shape) -> usize {
    let (mut rest, mut stride, mut index) = (element, 1, 0);
    let sizes = operand.iter().rev().copied().chain(std::iter::repeat(1));
    for (&size, own) in output.iter().rev().zip(sizes) {
        if own > 1 {
            index += rest % size * stride;
        }
        stride *= own;
        rest /= size;
    }
    index
}
