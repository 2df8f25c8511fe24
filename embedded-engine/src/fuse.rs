//! Fusion of products and convolutions with the bias and the ReLU that follow them. Each result is then
//! touched once, while it is in a register, instead of three times in memory.
//!
//! A pattern is fused only if the values in the middle have no other use. The registry declares the part that
//! an op type plays in a pattern, so a new kernel takes part without a change here.
//!
//! # Patterns
//!
//! ```text
//! MatMul / Conv2D ──► BiasAdd, or Add of a row        product with bias
//!                 └─► BiasAdd, or Add ──► Relu        product with bias and ReLU
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

use crate::ir::{Ir, IrNode, Value, producer};
use crate::kernel::{Environment, Kernel, NodeSpec};
use crate::kernels::facts;
use crate::registry::Fusion;
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
        let alone = |value: Value| {
            producer(value).filter(|before| uses.get(&value) == Some(&1) && !waited_for.contains(before))
        };
        let joined = match ir.nodes[index].computed().and_then(fusion) {
            Some(Fusion::Bias) => join_bias(ir, index, true, &alone, environment),
            Some(Fusion::Sum) => join_bias(ir, index, false, &alone, environment),
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
        if let Some(Ok(kernel)) = fused_kernel(multiplied, false, environment) {
            let mut inputs = source.inputs.clone();
            inputs.push(node.inputs[bias]);
            return Some((before, join(source, node, inputs, kernel)));
        }
    }
    None
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
    if source.operations.len() != 2 {
        return None;
    }
    let kernel = fused_kernel(source.operation(), true, environment)?.ok()?;
    Some((before, join(source, node, source.inputs.clone(), kernel)))
}

/// Returns the kernel of a product with bias and activation, if the product's kernel supports them.
///
/// `None` if the operation is no product or its attributes exclude fusion, and an error if its attributes are
/// wrong; both leave the nodes as they are, so that the error is reported by the unfused kernel.
fn fused_kernel(
    product: &Operation,
    relu: bool,
    environment: &Environment,
) -> Option<Result<Box<dyn Kernel>>> {
    let Some(Fusion::Product(make)) = fusion(product) else { return None };
    make(&NodeSpec { operation: product, function: None, resources: &environment.resources }, relu)
}

/// Returns the role of an operation in a fusion, as its registration declares it.
fn fusion(operation: &Operation) -> Option<Fusion> {
    facts(operation)?.fusion
}

/// Returns the node that replaces a product and the operation after it. It waits for everything that either
/// of them waited for.
fn join(source: &IrNode, node: &IrNode, inputs: Vec<Value>, kernel: Box<dyn Kernel>) -> IrNode {
    let operations = source.operations.iter().chain(&node.operations).cloned().collect();
    // The product waits for more than before, namely for what the second operation waited for, which cannot
    // lead back to it.
    let control = source.control.iter().chain(&node.control).copied().collect();
    IrNode::joined(operations, inputs, control, node.outputs, Some(kernel))
}
