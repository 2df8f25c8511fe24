//! Fusion of products and convolutions with the bias and the ReLU that follow them, and of products with the
//! sums that they belong to. Each result is then touched once, while it is in a register, instead of three
//! times in memory.
//!
//! A pattern is fused only if the values in the middle have no other use. The registry declares the part that
//! an op type plays in a pattern, so a new kernel takes part without a change here.
//!
//! # Patterns
//!
//! ```text
//! MatMul / Conv2D ──► BiasAdd, or Add of a row        product with bias
//!                 └─► BiasAdd, or Add ──► Relu        product with bias and ReLU
//! MatMul          ──► Add of a matrix                 product that is added to the matrix
//! MatMul, MatMul… ──► AddN                            products, each added to the one before
//! ```
//!
//! The pass goes through the nodes in order and joins each with its producer, so the ReLU finds a product
//! that has its bias already: a node of two operations. A ReLU directly after a product without a bias is
//! left to the kernel of its own.
//!
//! # Why here
//!
//! The pass runs right after the builder, while each node still is one operation; `chains.rs` would otherwise
//! take the addition and the ReLU. The fused node takes the place of the last operation. By then all inputs
//! exist, and nothing else could have seen the values in the middle.

use crate::ir::{InputValues, Ir, IrNode, Value, producer};
use crate::kernel::{Environment, Kernel, NodeSpec};
use crate::kernels::facts;
use crate::registry::{Addition, Fusion, Then};
use rustc_hash::FxHashSet;
use session_core::{Operation, Result};

/// Fuses operations whose results only the next one needs into single kernels.
///
/// Nodes are replaced in place, and those that were absorbed are marked as removed. Products whose kernel
/// does not support a bias stay as they are.
pub(crate) fn fuse(ir: &mut Ir, environment: &Environment) {
    let waited_for: FxHashSet<usize> =
        ir.nodes.iter().flat_map(|node| node.control.iter().copied()).collect();
    // A result that something waits for, without using it, must exist as a separate operation.
    // Joining moves uses from one node to another and changes no count of the remaining nodes.
    let uses = ir.uses();
    for index in 0..ir.nodes.len() {
        let alone =
            |value: Value| producer(value).filter(|before| uses[value] == 1 && !waited_for.contains(before));
        // What a sum is added to is overwritten, which nothing else may need. Constants are shared by all steps.
        let free = |value: Value| uses[value] == 1 && !matches!(value, Value::Constant(_));
        let joined = match ir.nodes[index].computed_op().and_then(|op| op.fusion) {
            Some(Fusion::Bias) => join_bias(ir, index, true, &alone, environment),
            Some(Fusion::Sum) => join_bias(ir, index, false, &alone, environment)
                .or_else(|| join_sum(ir, index, &alone, &free, environment)),
            Some(Fusion::Summands) => {
                join_summands(ir, index, &alone, &free, environment);
                None
            }
            Some(Fusion::Relu) => join_relu(ir, index, &alone, environment),
            Some(Fusion::Product(_)) | None => None,
        };
        if let Some((before, node)) = joined {
            ir.nodes[before].removed = true;
            ir.nodes[index] = node;
        }
    }
}

/// The node that was absorbed, and the node that replaces both; `None` if the pattern does not apply.
type Joined = Option<(usize, IrNode)>;

/// Fuses `product + bias`, where `index` is the addition.
///
/// `is_bias_add` is true for `BiasAdd`, whose operands have fixed roles; for `Add` and `AddV2` the shapes
/// must show that one operand is a row. `alone` returns the producer of a value if nothing else needs it.
fn join_bias(
    ir: &Ir,
    index: usize,
    is_bias_add: bool,
    alone: &impl Fn(Value) -> Option<usize>,
    environment: &Environment,
) -> Joined {
    let node = &ir.nodes[index];
    let operation = node.operation();
    // The kernels add a bias to the last dimension. In `NCHW` the channels are elsewhere.
    if operation.attr("data_format").and_then(|format| format.as_str()) == Some("NCHW") {
        return None;
    }
    // An addition may have its operands either way round; which one is the bias follows from the shapes.
    let orders: &[[usize; 2]] = if is_bias_add { &[[0, 1]] } else { &[[0, 1], [1, 0]] };
    for &[product, bias] in orders {
        let Some(before) = alone(node.inputs[product]) else { continue };
        let source = &ir.nodes[before];
        // A product that has a bias already takes no second one.
        let Some(multiplied) = source.computed() else { continue };
        if !(is_bias_add || is_row(&operation.input(bias), multiplied)) {
            continue;
        }
        if let Some(Ok(kernel)) = fused_kernel(multiplied, Then::Bias, environment) {
            let mut inputs = source.inputs.clone();
            inputs.push(node.inputs[bias]);
            return Some((before, join(source, node, inputs, kernel)));
        }
    }
    None
}

/// Fuses `product + matrix`, where `index` is the addition.
///
/// The product is added to the elements of the matrix, so nothing else may need those; `free` tells.
fn join_sum(
    ir: &Ir,
    index: usize,
    alone: &impl Fn(Value) -> Option<usize>,
    free: &impl Fn(Value) -> bool,
    environment: &Environment,
) -> Joined {
    let node = &ir.nodes[index];
    for [product, matrix] in [[0, 1], [1, 0]] {
        let (Some(before), true) = (alone(node.inputs[product]), free(node.inputs[matrix])) else { continue };
        let source = &ir.nodes[before];
        let addition =
            Addition { operation: node.operation().clone(), product_first: product == 0, broadcasts: true };
        let Some(multiplied) = source.computed() else { continue };
        if !is_alike(&node.operation().input(matrix), multiplied) {
            continue;
        }
        if let Some(Ok(kernel)) = fused_kernel(multiplied, Then::Sum(addition), environment) {
            let inputs = source.inputs.iter().copied().chain([node.inputs[matrix]]).collect();
            return Some((before, join(source, node, inputs, kernel)));
        }
    }
    None
}

/// Fuses a sum of products, where `index` is the sum: each product but the first is added to the one before,
/// and the last takes the place of the sum. The first summand may be any value.
///
/// Leaves all as it is unless every summand can take part: `AddN` adds from the first to the last, and only
/// all of them in the order of the graph have its bits.
fn join_summands(
    ir: &mut Ir,
    index: usize,
    alone: &impl Fn(Value) -> Option<usize>,
    free: &impl Fn(Value) -> bool,
    environment: &Environment,
) {
    let node = &ir.nodes[index];
    let [first, others @ ..] = node.inputs.as_slice() else { return };
    if others.is_empty() || !free(*first) {
        return;
    }
    let mut sum = *first;
    let mut fused: Vec<(usize, IrNode)> = Vec::with_capacity(others.len());
    for (&summand, position) in others.iter().zip(1..) {
        let Some(before) = alone(summand) else { return };
        let source = &ir.nodes[before];
        // What is added to comes first in the graph, so that numbers stay an order.
        let (Some(multiplied), true) = (source.computed(), producer(sum) < Some(before)) else { return };
        let addition =
            Addition { operation: node.operation().clone(), product_first: false, broadcasts: false };
        let Some(Ok(kernel)) = fused_kernel(multiplied, Then::Sum(addition), environment) else { return };
        let inputs = source.inputs.iter().copied().chain([sum]).collect();
        fused.push(if position == others.len() {
            (index, join(source, node, inputs, kernel))
        } else {
            let (operations, control) = (source.operations.clone(), source.control.clone());
            (before, IrNode::joined(operations, inputs, control, source.outputs, Some(kernel)))
        });
        sum = summand;
    }
    for (place, node) in fused {
        ir.nodes[place] = node;
    }
    if let Some(last) = producer(sum) {
        ir.nodes[last].removed = true;
    }
}

/// Returns true unless a matrix and a product have different shapes for certain.
fn is_alike(matrix: &session_core::Output, product: &Operation) -> bool {
    matrix.shape().merge(&product.output_infos()[0].shape).is_some()
}

/// Returns true if an operand of an addition has rank 1 and the length of the product's rows, both known.
fn is_row(bias: &session_core::Output, product: &Operation) -> bool {
    let columns = product.output_infos()[0].shape.dim_from_end(0);
    bias.shape().rank() == Some(1) && columns.is_some() && bias.shape().dim(0) == columns
}

/// Fuses `relu(product + bias)`, where `index` is the ReLU and its producer a product with a bias.
fn join_relu(
    ir: &Ir,
    index: usize,
    alone: &impl Fn(Value) -> Option<usize>,
    environment: &Environment,
) -> Joined {
    let node = &ir.nodes[index];
    let before = alone(node.inputs[0])?;
    let source = &ir.nodes[before];
    let [product, addition] = source.operations.as_slice() else { return None };
    // The addition may also be that of a matrix.
    let is_bias = matches!(fusion(addition), Some(Fusion::Bias))
        || addition.inputs().iter().any(|operand| is_row(operand, product));
    let kernel = fused_kernel(product, Then::BiasRelu, environment).filter(|_| is_bias)?.ok()?;
    Some((before, join(source, node, source.inputs.clone(), kernel)))
}

/// Returns the kernel of a product with what follows it, if the product's kernel supports that.
///
/// `None` if the operation is no product or its attributes exclude fusion, and an error if its attributes are
/// wrong; both leave the nodes as they are, so that the error is reported by the unfused kernel.
fn fused_kernel(
    product: &Operation,
    then: Then,
    environment: &Environment,
) -> Option<Result<Box<dyn Kernel>>> {
    let Some(Fusion::Product(make)) = fusion(product) else { return None };
    make(&NodeSpec { operation: product, function: None, resources: &environment.resources }, then)
}

/// Returns the role of an operation in a fusion, as its registration declares it.
fn fusion(operation: &Operation) -> Option<Fusion> {
    facts(operation)?.fusion
}

/// Returns the node that replaces a product and the operation after it. It waits for everything that either
/// of them waited for.
fn join(source: &IrNode, node: &IrNode, inputs: InputValues, kernel: Box<dyn Kernel>) -> IrNode {
    let operations = source.operations.iter().chain(&node.operations).cloned().collect();
    // The product waits for more than before, namely for what the second operation waited for, which cannot
    // lead back to it.
    let control = source.control.iter().chain(&node.control).copied().collect();
    IrNode::joined(operations, inputs, control, node.outputs, Some(kernel))
}
