//! Products of matrices.
//!
//! # Semantics
//!
//! `MatMul` takes two matrices, each possibly transposed. The batch forms take stacks: `BatchMatMul` of equal
//! shapes, V2 and V3 with broadcasting of the axes before the last two; `adj_x` and `adj_y` conjugate complex
//! operands as well as they transpose. An inner size of 0 yields zeros. A bias and an activation that follow,
//! or the addition of another matrix, are fused by the compiler (`fuse.rs`) and applied to each tile of the
//! result while it is in registers.
//!
//! - `MatMul` takes `a` `[m, k]` and `b` `[k, n]` and returns `[m, n]`. With `transpose_a` or `transpose_b`
//!   the operand is stored transposed.
//! - `SparseMatMul` takes the same, each `float32` or `bfloat16`, and returns `float32`. `a_is_sparse` and
//!   `b_is_sparse` are ignored.
//! - `BatchMatMul`, V2 and V3 take `x` `[..., m, k]` and `y` `[..., k, n]` with `adj_x` and `adj_y`, and
//!   return `[..., m, n]`.
//!
//! An operand of rank 0 or 1 and unequal inner sizes are `InvalidArgument`. NaN and infinities spread as in
//! the formula; zeros are multiplied like other numbers, also by `SparseMatMul`. `BatchMatMulV3` with two
//! different dtypes, which TensorFlow allows for integers, is `Unimplemented`.
//!
//! The arithmetic is `compute::matmul`: cache blocks with tuned kernels for `f32` and `f64`, plain sums for
//! other dtypes; `2 m k n` operations. It divides one product over threads; a stack is a sequence of
//! products. The order of additions depends on the sizes only, so the bits do not depend on the number of
//! threads. They may differ from TensorFlow's in the last digits, as its own bits differ between processors.
//!
//! ```text
//! MatMul       [[1, 2], [3, 4]]  [[5], [6]]                        -> [[17], [39]]
//! MatMul       [[1, 3], [2, 4]]  [[5], [6]], transpose_a           -> the same
//! BatchMatMul  [5, 1, 2, 3]  [4, 3, 7] (shapes)                    -> [5, 4, 2, 7]
//! MatMul       [2, 0]  [0, 3] (shapes)                             -> zeros of shape [2, 3]
//! ```

use super::elementwise::{apply_binary, apply_unary, boxed, check_summands};
use crate::kernel::{Kernel, KernelContext, NodeSpec, no_room};
use crate::registry::{Addition, Fusion, Registry, Then};
use compute::elementwise::{self, BinaryOp, Broadcast, Element as _, UnaryOp};
use compute::matmul::{self, Epilogue, Product, Real};
use session_core::{Error, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers the op types. `MatMul` is the start of a fusion, for which the compiler asks [`fused`] for a
/// kernel. `BatchMatMulV3` with two dtypes is refused when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("MatMul", |spec| {
        let transposed = transposed(spec)?;
        for_dtype!(product spec.input_dtype(0), T => Ok(boxed(move |context| matmul::<T>(context, transposed))))
    }).fuses(Fusion::Product(fused));
    registry.add("SparseMatMul", |spec| {
        let transposed = transposed(spec)?;
        Ok(boxed(move |context| single(context, transposed)))
    });
    for op_type in ["BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"] {
        registry.add(op_type, |spec| {
            if spec.operation.output(0).dtype() != spec.input_dtype(0) || spec.input_dtype(1) != spec.input_dtype(0) {
                return Err(Error::new(session_core::Code::Unimplemented, "no products of mixed dtypes"));
            }
            let transposed = [spec.bool("adj_x")?, spec.bool("adj_y")?];
            for_dtype!(product spec.input_dtype(0), T => Ok(boxed(move |context| batch::<T>(context, transposed))))
        });
    }
}

/// Returns the attributes that state whether `a` and `b` are stored transposed.
fn transposed(spec: &NodeSpec<'_>) -> Result<[bool; 2]> {
    Ok([spec.bool("transpose_a")?, spec.bool("transpose_b")?])
}

/// Returns the conjugates of complex numbers; other tensors are their own conjugates. The conjugates are
/// written over the tensor if nothing else holds it.
pub(crate) fn conjugated(context: &KernelContext<'_>, tensor: Tensor) -> Result<Tensor> {
    let dtype = tensor.dtype();
    if !dtype.is_complex() {
        return Ok(tensor);
    }
    for_dtype!(complex dtype, T => {
        let conjugation = T::unary(UnaryOp::Conj).expect("complex numbers have conjugates");
        apply_unary(context, &conjugation, tensor)
    })
}

/// Returns the sizes of a product of two matrices. Both shapes are as stored, before the transposition. Fails
/// if one is not a matrix or if the inner sizes differ; messages begin like TensorFlow's.
pub(crate) fn matmul_sizes(a: &Shape, b: &Shape, [transpose_a, transpose_b]: [bool; 2]) -> Result<Product> {
    let (&[a0, a1], &[b0, b1]) = (a.dims(), b.dims()) else {
        return Err(Error::invalid_argument(format!("In[0] and In[1] must be matrices: {a} and {b}")));
    };
    let (m, k) = if transpose_a { (a1, a0) } else { (a0, a1) };
    let (inner, n) = if transpose_b { (b1, b0) } else { (b0, b1) };
    if k != inner {
        return Err(Error::invalid_argument(format!("Matrix size-incompatible: In[0]: {a}, In[1]: {b}")));
    }
    Ok(Product { transpose_a, transpose_b, ..Product::new(m, k, n) })
}

/// Delivers the product of inputs 0 and 1. A transposed operand is not copied: the packing of blocks reads it
/// in the other order.
fn matmul<T: Element + matmul::Element>(
    context: &mut KernelContext<'_>,
    transposed: [bool; 2],
) -> Result<()> {
    let product = matmul_sizes(context.input(0).shape(), context.input(1).shape(), transposed)?;
    let output = multiplied::<T>(context, &product)?;
    context.set(0, output);
    Ok(())
}

/// Returns the product of inputs 0 and 1.
fn multiplied<T: Element + matmul::Element>(
    context: &mut KernelContext<'_>,
    product: &Product,
) -> Result<Tensor> {
    let mut output = context.allocate::<T>([product.m, product.n])?;
    let pool = context.pool();
    // The packed blocks need working memory of the frame while the inputs are borrowed.
    let (inputs, scratch) = context.split();
    let c = output.as_mut_slice::<T>().expect("new memory has one owner");
    matmul::matmul(pool, scratch, product, inputs.slice(0)?, inputs.slice(1)?, c).map_err(no_room)?;
    Ok(output)
}

/// Delivers the product in single precision of matrices that may be `bfloat16`, each on its own. The widened
/// copies and the inner `MatMul` run as a nested kernel.
fn single(context: &mut KernelContext<'_>, transposed: [bool; 2]) -> Result<()> {
    let inputs = vec![as_single(context.input(0))?, as_single(context.input(1))?];
    let product = context.nested(inputs, &|context| matmul::<f32>(context, transposed))?;
    context.set(0, product);
    Ok(())
}

/// Returns a `bfloat16` tensor as `float32`, exactly; other tensors are shared.
fn as_single(tensor: &Tensor) -> Result<Tensor> {
    if tensor.dtype() == DType::Float32 {
        return Ok(tensor.clone());
    }
    let values = tensor.as_slice::<tensor::bf16>()?.iter().map(|value| value.to_f32());
    Ok(Tensor::from_vec(memory::collected(values)?, tensor.shape().clone())?)
}

/// Returns the kernel that a `MatMul` with what follows it is replaced by. `None` for dtypes without a fused
/// loop, whose operations stay apart.
fn fused(spec: &NodeSpec<'_>, then: Then) -> Option<Result<Box<dyn Kernel>>> {
    let transposed = transposed(spec);
    match spec.input_dtype(0) {
        DType::Float32 => Some(transposed.map(|transposed| fused_of::<f32>(transposed, then))),
        DType::Float64 => Some(transposed.map(|transposed| fused_of::<f64>(transposed, then))),
        _ => None,
    }
}

/// Works as [`fused`] for a dtype.
fn fused_of<T: Element + Real + elementwise::Element>(transposed: [bool; 2], then: Then) -> Box<dyn Kernel> {
    match then {
        Then::Bias => matmul_fused::<T>(transposed, false),
        Then::BiasRelu => matmul_fused::<T>(transposed, true),
        Then::Sum(addition) => boxed(move |context| matmul_added::<T>(context, transposed, &addition)),
    }
}

/// Delivers a product and the sum of it and input 2. Such sums are the gradients of weights that are used more
/// than once, in the steps of a recurrent network.
///
/// The product is added to the elements of input 2 while it is in registers, if nothing else holds them and
/// the bits are those of a product and an addition; otherwise it is an addition after a product.
fn matmul_added<T: Element + Real + elementwise::Element>(
    context: &mut KernelContext<'_>,
    transposed: [bool; 2],
    addition: &Addition,
) -> Result<()> {
    let product = matmul_sizes(context.input(0).shape(), context.input(1).shape(), transposed)?;
    let mut sum = context.take(2);
    if sum.shape().dims() == [product.m, product.n]
        && product.is_one_stretch()
        && let Some(c) = sum.as_mut_slice::<T>()
    {
        let pool = context.pool();
        let (inputs, scratch) = context.split();
        let product = product.accumulate();
        matmul::matmul(pool, scratch, &product, inputs.slice(0)?, inputs.slice(1)?, c).map_err(no_room)?;
        context.set(0, sum);
        return Ok(());
    }
    let product = multiplied::<T>(context, &product)?;
    let (left, right) = if addition.product_first { (product, sum) } else { (sum, product) };
    let fits = if addition.broadcasts { Ok(()) } else { check_summands(left.shape(), right.shape()) };
    let add = T::binary(BinaryOp::Add).expect("floats can be added");
    let sum = fits.and_then(|()| apply_binary(context, &add, left, right));
    context.set(0, sum.map_err(|error| addition.operation.place(error))?);
    Ok(())
}

/// Returns a dense layer in one pass: product, bias, and ReLU if requested. Inputs: a, b, bias.
///
/// The bias has shape `[n]`. The sums, the rounding and their order are those of the separate kernels, and
/// NaN passes `Relu`.
fn matmul_fused<T: Element + Real>(transposed: [bool; 2], relu: bool) -> Box<dyn Kernel> {
    boxed(move |context: &mut KernelContext<'_>| {
        let product = matmul_sizes(context.input(0).shape(), context.input(1).shape(), transposed)?;
        let bias = context.input(2).shape();
        if bias.dims() != [product.n] {
            let text = format!("a bias of shape {bias} does not fit {} columns", product.n);
            return Err(Error::invalid_argument(text));
        }
        let mut output = context.allocate::<T>([product.m, product.n])?;
        let pool = context.pool();
        let (inputs, scratch) = context.split();
        let epilogue = Epilogue { bias: Some(inputs.slice::<T>(2)?), relu };
        let c = output.as_mut_slice::<T>().expect("new memory has one owner");
        matmul::matmul_fused(pool, scratch, &product, inputs.slice(0)?, inputs.slice(1)?, epilogue, c)
            .map_err(no_room)?;
        context.set(0, output);
        Ok(())
    })
}

/// Delivers products of stacked matrices, the stacks broadcast against each other: `[5, 1, m, k]` and
/// `[4, k, n]` give `[5, 4, m, n]`. A repeated matrix is read again, not copied. An adjoint is a copy with
/// conjugates, if the dtype is complex, that is read in transposed order.
fn batch<T: Element + matmul::Element>(context: &mut KernelContext<'_>, transposed: [bool; 2]) -> Result<()> {
    let [a, b] = [0, 1].map(|input| {
        let matrices = context.take(input);
        // The adjoint of a matrix is its transpose with conjugates.
        if transposed[input] { conjugated(context, matrices) } else { Ok(matrices) }
    });
    let (a, b) = (a?, b?);
    let (rank_a, rank_b) = (a.shape().rank(), b.shape().rank());
    if rank_a < 2 || rank_b < 2 {
        let text = format!("stacks of matrices need rank 2 or more: {} and {}", a.shape(), b.shape());
        return Err(Error::invalid_argument(text));
    }
    let (stack_a, matrix_a) = a.shape().split_at(rank_a - 2);
    let (stack_b, matrix_b) = b.shape().split_at(rank_b - 2);
    let product = matmul_sizes(&Shape::new(matrix_a), &Shape::new(matrix_b), transposed)?;
    let stacks =
        Broadcast::new([stack_a, stack_b]).map_err(|error| super::elementwise::incompatible(&error))?;
    let shape: Shape = stacks.output_shape().iter().copied().chain([product.m, product.n]).collect();
    let mut output = context.allocate::<T>(shape)?;
    let (x, y) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
    let (len_a, len_b, len_c) = (product.m * product.k, product.k * product.n, product.m * product.n);
    let out = output.as_mut_slice::<T>().expect("new memory has one owner");
    for (i, c) in out.chunks_exact_mut(len_c.max(1)).enumerate() {
        // Matrices of the stacks by the broadcast of their axes; the memory of a repeated one is read again.
        let (i, j) =
            (stack_index(stacks.output_shape(), stack_a, i), stack_index(stacks.output_shape(), stack_b, i));
        let (x, y) = (&x[i * len_a..][..len_a], &y[j * len_b..][..len_b]);
        matmul::matmul(context.pool(), context.scratch, &product, x, y, c).map_err(no_room)?;
    }
    context.set(0, output);
    Ok(())
}

/// Returns the index of the operand matrix for a matrix of the result. `result` is the broadcast shape of the
/// stacks, `operand` the operand's own, and `index` the number of a matrix in row-major order. For a result
/// of `[5, 4]`, matrix 6 is at `[1, 2]`: of an operand `[5, 1]` it takes matrix 1, of an operand `[4]` matrix
/// 2.
pub(super) fn stack_index(result: &[usize], operand: &[usize], mut index: usize) -> usize {
    let (mut place, mut stride) = (0, 1);
    let padding = result.len() - operand.len();
    for (axis, &dim) in result.iter().enumerate().rev() {
        let at = index % dim;
        index /= dim;
        if axis >= padding && operand[axis - padding] != 1 {
            place += at * stride;
            stride *= operand[axis - padding];
        }
    }
    place
}
