//! Sums of products over named axes: each operand becomes a stack of matrices, which are multiplied.
//!
//! # Semantics
//!
//! An equation such as `ij,jk->ik` names the axes of the operands and of the result. An axis that occurs in
//! one operand only, and not in the result, is summed first. An axis that occurs twice in one operand stands
//! for the diagonal. `...` stands for any number of axes, which are broadcast. The axes of two operands then
//! fall into four groups: batch axes, axes of the first, axes of the second, and contracted axes; transposing
//! them into this order makes the operation a stack of matrix products.
//!
//! One or two operands of one dtype are accepted, of `float32`, `float64`, 16-bit floats, `int32`, `int64` or
//! complex numbers; three or more are `Unimplemented` (TensorFlow's op has the same limit). The equation must
//! contain `->`. White space in it is ignored. An axis that the result names twice is a diagonal, with zeros
//! elsewhere: `i->ii` gives a diagonal matrix.
//!
//! | equation | operands | result |
//! | --- | --- | --- |
//! | `ij,jk->ik` | `[m, k]`, `[k, n]` | the product `[m, n]` |
//! | `bij,bkj->bik` | two stacks | products with the transposed second |
//! | `ii->i`, `ii->` | `[n, n]` | the diagonal, the trace |
//! | `...i,i->...` | `[5, 4, n]`, `[n]` | `[5, 4]` |
//!
//! Sizes of one letter must be equal; a letter does not broadcast, and only the axes of an ellipsis stretch
//! from 1. An operand without the axes of the equation, a result with an axis that no operand has, and one
//! without the ellipsis for the axes that operands broadcast are `InvalidArgument`. Empty sums are 0.
//!
//! # Cost
//!
//! One copy of each operand, a product of matrices for each element of the batch, and a copy of the result.
//! The products run in parallel with bits that do not depend on the number of threads; the copies run in one
//! thread and check the limits of the run.
//!
//! # The parts of a run
//!
//! `make` parses the equation into a [`Side`] for each operand and the result. In each step a [`Plan`] is
//! made from the shapes: the axes by operand, their sizes, and a [`Packing`] for each operand. `packed`
//! copies an operand, `product` multiplies, and the last loop of `einsum` copies into the result:
//!
//! ```text
//! bij,kj->bki   a [2, 3, 4], b [5, 4]
//!
//! j is contracted, b and i are rows, k is a column; no axis is in all three, so there is one product:
//! [b i, j] x [j, k] = [6, 4] x [4, 5], computed as [b, i, k] and copied to [b, k, i]
//! ```

use super::elementwise::boxed;
use crate::kernel::{Kernel, KernelContext, NodeSpec, no_room};
use crate::registry::Registry;
use compute::matmul::{self, Product};
use session_core::{Code, Error, Result};
use std::collections::BTreeMap;
use std::ops::{Add, Mul};
use tensor::{Element, Shape, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Einsum", make);
}

/// An axis: a letter of the equation, or one of those that an ellipsis stands for, counted from the last. For
/// `[5, 4, n]` and `...i`, the axes are `Broadcast(1)`, `Broadcast(0)` and `Letter('i')`: counted from the
/// last, axes of operands of different ranks that broadcast against each other are equal. The order puts
/// letters first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Axis {
    /// An axis that a letter names.
    Letter(char),
    /// An axis of an ellipsis.
    Broadcast(usize),
}

/// One side of the equation before ranks are known.
///
/// An operand of the equation, or the result. `ab...c` has `before = [a, b]` and `after = [c]`; without an
/// ellipsis all letters are in `before`.
#[derive(Clone, Debug)]
struct Side {
    /// The letters before the ellipsis.
    before: Vec<char>,
    /// True if there is an ellipsis.
    ellipsis: bool,
    /// The letters after the ellipsis.
    after: Vec<char>,
}

impl Side {
    /// Parses one side of an equation. It accepts any characters: the op's shape function in `ops` has
    /// checked the equation when the graph was built.
    fn parse(text: &str) -> Side {
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect();
        match text.split_once("...") {
            Some((before, after)) => Side { before: letters(before), ellipsis: true, after: letters(after) },
            None => Side { before: letters(text), ellipsis: false, after: Vec::new() },
        }
    }

    /// Returns the axes of an operand of this rank. Returns `None` if there are fewer axes than letters, or
    /// more and no ellipsis.
    fn axes(&self, rank: usize) -> Option<Vec<Axis>> {
        let named = self.before.len() + self.after.len();
        let extra = rank.checked_sub(named)?;
        if extra > 0 && !self.ellipsis {
            return None;
        }
        Some(self.axes_with(extra))
    }

    /// Returns the axes of an operand whose ellipsis stands for `extra` axes.
    fn axes_with(&self, extra: usize) -> Vec<Axis> {
        let letters = |letters: &[char]| letters.iter().map(|&c| Axis::Letter(c)).collect::<Vec<_>>();
        let mut axes = letters(&self.before);
        axes.extend((0..extra).rev().map(Axis::Broadcast));
        axes.extend(letters(&self.after));
        axes
    }
}

/// Returns the kernel for an equation, which is parsed once. Shapes are planned in each step, since they may
/// change from step to step.
fn make(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let equation = spec.str("equation")?.to_owned();
    let (inputs, output) = equation
        .split_once("->")
        .ok_or_else(|| Error::value(format!("the equation '{equation}' must name the result after '->'")))?;
    let inputs: Vec<Side> = inputs.split(',').map(Side::parse).collect();
    let output = Side::parse(output);
    if inputs.len() != spec.operation.num_inputs() {
        return Err(Error::value(format!("the equation '{equation}' is not one of as many inputs")));
    }
    if inputs.len() > 2 {
        return Err(Error::new(Code::Unimplemented, "no sums of products of more than two operands"));
    }
    for_dtype!(product spec.input_dtype(0), T => {
        let (inputs, output) = (inputs.clone(), output.clone());
        Ok(boxed(move |context| einsum::<T>(context, &inputs, &output)))
    })
}

/// Sizes by axis; a broadcast axis has the largest of its sizes.
type Sizes = BTreeMap<Axis, usize>;

/// Delivers the result: packs the operands, multiplies them, and scatters the product into the order of the
/// result.
///
/// `sides` are those of the operands, in the order of the inputs. The copy visits the result's axes in order,
/// once for the places in the result and once for those in the product.
fn einsum<T>(context: &mut KernelContext<'_>, sides: &[Side], output: &Side) -> Result<()>
where
    T: Element + matmul::Element + Add<Output = T> + Mul<Output = T>,
{
    let shapes: Vec<&Shape> = (0..sides.len()).map(|input| context.input(input).shape()).collect();
    let plan = Plan::new(&shapes, sides, output)?;
    let computed = match plan.operands.as_slice() {
        [only] => packed::<T>(context, 0, only)?,
        [a, b] => {
            let (a, b) = (packed::<T>(context, 0, a)?, packed::<T>(context, 1, b)?);
            product(context, plan.stack, &plan.product, &a, &b)?
        }
        _ => return Err(Error::invalid_argument("there is nothing to multiply")),
    };
    let Plan { out_dims, dims, from, to, .. } = plan;
    // Two walks with different strides over the same axes; the places of the first are kept, as both cannot
    // be walked at the same time.
    let mut places = memory::reserve(elements(dims.iter().copied()))?;
    walk(context, &dims, &to, &mut |place| places.push(place))?;
    context.produce::<T>(0, out_dims, |context, output| {
        // The result names an axis twice, so only its diagonal is written below.
        if places.len() < output.len() {
            output.fill(T::default());
        }
        let mut places = places.iter();
        walk(context, &dims, &from, &mut |offset| {
            if let Some(&place) = places.next() {
                output[place] = computed[offset];
            }
        })
    })
}

/// The plan for operands of these shapes, independent of the dtype. With two operands the product is `stack`
/// times `[m, k] x [k, n]`; with one, the packed operand is the result already, apart from the order of its
/// axes.
struct Plan {
    /// The copies that make each operand a factor of the product, one for each operand.
    operands: Vec<Packing>,
    /// The number of products of matrices: the sizes of the batch axes multiplied.
    stack: usize,
    /// The sizes of each product.
    product: Product,
    /// The sizes of the axes of the computed product, in the order in which the result names them first.
    dims: Vec<usize>,
    /// The stride of each of these axes in the computed product.
    from: Vec<usize>,
    /// The stride of each of these axes in the result; that of a diagonal is the sum of the strides of its
    /// axes.
    to: Vec<usize>,
    /// The shape of the result.
    out_dims: Shape,
}

/// The access pattern of an operand. Strides have one entry for each axis of `outer`, then one for each of
/// `inner`.
struct Packing {
    /// The sizes of the axes that are kept, in the order of the factor. A broadcast axis has its full size
    /// here.
    outer: Vec<usize>,
    /// The sizes of the axes that are summed over while the operand is copied.
    inner: Vec<usize>,
    /// The strides of these axes in the operand: 0 along an axis that is repeated, a sum along a diagonal.
    strides: Vec<usize>,
}

impl Plan {
    /// Plans an equation for the shapes of the operands. Fails if shapes and equation do not fit.
    ///
    /// `shapes` and `sides` belong to the operands, in the order of the inputs; `output` is the side of the
    /// result. The plan holds no elements and is discarded after the step.
    fn new(shapes: &[&Shape], sides: &[Side], output: &Side) -> Result<Plan> {
        let mut sizes = Sizes::new();
        let mut operands = Vec::with_capacity(sides.len());
        for (input, (side, shape)) in sides.iter().zip(shapes).enumerate() {
            let axes = side.axes(shape.rank());
            let axes = axes.ok_or_else(|| {
                Error::invalid_argument(format!(
                    "input {input} of shape {shape} does not have the axes of the equation"
                ))
            })?;
            for (&axis, &size) in axes.iter().zip(shape.iter()) {
                let known = sizes.entry(axis).or_insert(size);
                // Only axes of an ellipsis broadcast. TensorFlow requires equal sizes for letters, even if
                // one is 1.
                let stretches = matches!(axis, Axis::Broadcast(_)) && (*known == 1 || size == 1);
                if *known != size && !stretches {
                    let text = format!("axis {axis:?} is of size {known} and of size {size}");
                    return Err(Error::invalid_argument(text));
                }
                *known = if *known == 1 { size } else { *known };
            }
            operands.push(axes);
        }
        let broadcast = sizes.keys().filter(|axis| matches!(axis, Axis::Broadcast(_))).count();
        if broadcast > 0 && !output.ellipsis {
            let text = format!("the operands broadcast {broadcast} axes, but the result has no ellipsis");
            return Err(Error::invalid_argument(text));
        }
        // The ellipsis of the result stands for all broadcast axes of the operands, the longest of theirs.
        let result = output.axes_with(broadcast);
        if let Some(axis) = result.iter().find(|axis| !sizes.contains_key(axis)) {
            return Err(Error::invalid_argument(format!("axis {axis:?} of the result is in no input")));
        }
        // An axis that the result has twice is a diagonal.
        let mut distinct: Vec<Axis> = Vec::with_capacity(result.len());
        result.iter().for_each(|axis| {
            if !distinct.contains(axis) {
                distinct.push(*axis)
            }
        });
        let out_dims: Shape = result.iter().map(|axis| sizes.get(axis).copied().unwrap_or(1)).collect();
        let mut plan = Plan {
            operands: Vec::new(),
            stack: 1,
            product: Product::new(1, 1, 1),
            dims: Vec::new(),
            from: Vec::new(),
            to: Vec::new(),
            out_dims,
        };
        // The axes of the computed product, in their order.
        let axes = match operands.as_slice() {
            [a, b] => plan.multiply(shapes, [&a[..], &b[..]], &distinct, &sizes),
            [only] => {
                plan.operands.push(Packing::new(shapes[0], only, &sizes, &distinct));
                distinct.clone()
            }
            _ => return Ok(plan),
        };
        // From the order in which it was computed to that of the result.
        let strides = strides_of(&axes, &axes, &axes.iter().map(|axis| sizes[axis]).collect::<Vec<_>>());
        let stride = |axis: &Axis| axes.iter().position(|known| known == axis).map_or(0, |i| strides[i]);
        plan.from = distinct.iter().map(stride).collect();
        plan.to = strides_of(&distinct, &result, &plan.out_dims);
        plan.dims = distinct.iter().map(|axis| sizes[axis]).collect();
        Ok(plan)
    }

    /// Plans a product of two operands and returns the axes of the computed product in their order: batch
    /// axes, rows, columns. Axes are sorted within each group, so both operands agree on the order of those
    /// that they share. An axis of one operand alone that the result lacks is in no group; its operand's
    /// packing sums over it.
    fn multiply(
        &mut self,
        shapes: &[&Shape],
        [a, b]: [&[Axis]; 2],
        result: &[Axis],
        sizes: &Sizes,
    ) -> Vec<Axis> {
        let choose = |wanted: &dyn Fn(&Axis) -> bool| -> Vec<Axis> {
            sizes.keys().copied().filter(|axis| wanted(axis)).collect()
        };
        // The four groups of axes. The remaining axes, those of one operand alone that the result lacks, are
        // summed by the packing.
        let stack = choose(&|axis| a.contains(axis) && b.contains(axis) && result.contains(axis));
        let inner = choose(&|axis| a.contains(axis) && b.contains(axis) && !result.contains(axis));
        let rows = choose(&|axis| a.contains(axis) && !b.contains(axis) && result.contains(axis));
        let columns = choose(&|axis| !a.contains(axis) && b.contains(axis) && result.contains(axis));
        let size = |axes: &[Axis]| elements(axes.iter().map(|axis| sizes[axis]));
        self.operands.push(Packing::new(shapes[0], a, sizes, &[&stack[..], &rows, &inner].concat()));
        self.operands.push(Packing::new(shapes[1], b, sizes, &[&stack[..], &inner, &columns].concat()));
        self.stack = size(&stack);
        self.product = Product::new(size(&rows), size(&inner), size(&columns));
        [stack, rows, columns].concat()
    }
}

impl Packing {
    /// Creates an operand with the axes `kept` in this order, summed over all others, diagonals where it
    /// names an axis twice. `kept` may contain axes that the operand lacks, which get a stride of 0. `sizes`
    /// are those of the whole equation.
    fn new(shape: &Shape, axes: &[Axis], sizes: &Sizes, kept: &[Axis]) -> Packing {
        let mut summed: Vec<Axis> = axes.iter().copied().filter(|axis| !kept.contains(axis)).collect();
        summed.sort_unstable();
        summed.dedup();
        let order: Vec<Axis> = kept.iter().chain(&summed).copied().collect();
        // A broadcast axis that is summed away counts as often as this operand has it.
        // The other operand may have the axis with its full size; there the result would be counted that many
        // times too often.
        let own = |axis: &Axis| axes.iter().position(|known| known == axis).map_or(1, |i| shape[i]);
        Packing {
            outer: kept.iter().map(|axis| sizes[axis]).collect(),
            inner: summed.iter().map(own).collect(),
            strides: strides_of(&order, axes, shape),
        }
    }
}

/// Returns the products of a stack of matrices. `left` is `[stack, m, k]`, `right` is `[stack, k, n]`, the
/// result `[stack, m, n]`. An inner size of 0 yields zeros.
fn product<T: Element + matmul::Element>(
    context: &mut KernelContext<'_>,
    stack: usize,
    product: &Product,
    left: &[T],
    right: &[T],
) -> Result<Vec<T>> {
    let mut out = memory::filled(T::default(), elements([stack, product.m, product.n]))?;
    let (len_a, len_b, len_c) = (product.m * product.k, product.k * product.n, product.m * product.n);
    if len_c > 0 {
        for (i, c) in out.chunks_exact_mut(len_c).enumerate() {
            let (x, y) = (&left[i * len_a..][..len_a], &right[i * len_b..][..len_b]);
            matmul::matmul(context.pool(), context.scratch, product, x, y, c).map_err(no_room)?;
        }
    }
    Ok(out)
}

/// Copies an operand into the order of its factor, and sums over the axes that only it has. The sum of each
/// element runs over its inner axes in row-major order. Without inner axes it is a plain copy.
fn packed<T: Element + Add<Output = T>>(
    context: &KernelContext<'_>,
    input: usize,
    packing: &Packing,
) -> Result<Vec<T>> {
    let values = context.slice::<T>(input)?;
    let Packing { outer, inner, strides } = packing;
    let mut packed = memory::reserve(elements(outer.iter().copied()))?;
    let mut ended = Ok(());
    walk(context, outer, &strides[..outer.len()], &mut |start| {
        let mut sum = T::default();
        let add = &mut |offset| sum = sum + values[start + offset];
        // A limit of the run was reached in an inner walk, which cannot end the outer one: the remaining
        // elements are skipped.
        if ended.is_ok() {
            ended = walk(context, inner, &strides[outer.len()..], add);
        }
        packed.push(sum);
    })?;
    ended.map(|()| packed)
}

/// Returns a product of sizes, `usize::MAX` if it overflows, so that the allocation fails instead of the
/// arithmetic.
fn elements(sizes: impl IntoIterator<Item = usize>) -> usize {
    sizes.into_iter().collect::<Shape>().elements()
}

/// Returns the stride of each axis of `order` in an operand with these axes and sizes. An axis that is absent
/// has a stride of 0. One that occurs several times has the sum of its strides, which walks the diagonal:
/// `ii` of shape `[3, 3]` has a stride of 4.
fn strides_of(order: &[Axis], axes: &[Axis], shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; axes.len()];
    let mut stride = 1;
    for i in (0..axes.len()).rev() {
        // A stretched axis has a stride of 0.
        strides[i] = if shape[i] == 1 { 0 } else { stride };
        stride *= shape[i];
    }
    let along =
        |axis: &Axis| axes.iter().zip(&strides).filter(|(known, _)| *known == axis).map(|(_, s)| s).sum();
    order.iter().map(along).collect()
}

/// Visits all places in row-major order. Calls `visit` with the offset of each place, the sum over the axes
/// of index times stride: `dims = [2, 2]` with strides `[1, 10]` visits 0, 10, 1, 11. Without axes there is
/// one place, at 0; a size of 0 visits none. Fails if the run is ended.
fn walk(
    context: &KernelContext<'_>,
    dims: &[usize],
    strides: &[usize],
    visit: &mut dyn FnMut(usize),
) -> Result<()> {
    if dims.contains(&0) {
        return Ok(());
    }
    let mut watch = context.watch();
    let mut index = vec![0; dims.len()];
    let mut offset = 0;
    loop {
        visit(offset);
        watch.tick(1)?;
        let mut axis = dims.len();
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            // The axis starts over, and the next one to the left advances.
            offset -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
    }
}
