//! Factors of channels folded into the products before them, as batch norms that consist of several operations have them.
//!
//! # Semantics
//!
//! A batch norm of several operations is `x * scale + offset`, where `scale` is `gamma * rsqrt(variance + epsilon)`. In a
//! frozen graph, all of these are constants. A product with weights `w` followed by a multiplication by `scale` is the
//! product with weights `w * scale`: each channel of the output has its own factor.
//!
//! A multiplication is folded if
//!
//! - the product is a `MatMul`, `Conv2D` or `DepthwiseConv2dNative` with constant weights of `float32`;
//! - nothing else reads the product;
//! - the factor depends on constants alone, and is one number, or one for each channel along the last axis.
//!
//! The channels of `MatMul` are the columns of its weights, or the rows if `transpose_b` is set. Those of a depthwise
//! convolution are the last two axes of its weights together.

use super::fold::constant_input;
use super::node::{attr, constant, constant_value, index, is_control, source};
use graph_def::proto::{GraphDef, NodeDef, Value};
use session_core::{Result, Tensor};
use std::collections::{HashMap, HashSet};

/// Folds each multiplication by a constant, one number or one for each channel, into the weights of the matrix product or convolution
/// before it. The product then has the name of the multiplication.
pub(super) fn fold_scales(graph: &GraphDef) -> Result<GraphDef> {
    let by_name: HashMap<&str, &NodeDef> = graph.node.iter().map(|node| (node.name.as_str(), node)).collect();
    let mut readers: HashMap<&str, usize> = HashMap::new();
    for input in graph.node.iter().flat_map(|node| &node.input) {
        *readers.entry(source(input)).or_default() += 1;
    }
    let mut replaced: HashMap<&str, Vec<NodeDef>> = HashMap::new();
    let mut scaled: HashSet<&str> = HashSet::new();
    for multiplication in &graph.node {
        let Some(fold) = Fold::of(multiplication, &by_name, &readers) else { continue };
        let product = fold.product.name.as_str();
        // Nothing is folded twice in one pass, and no name is given twice.
        if replaced.contains_key(product) || by_name.contains_key(fold.weights_name().as_str()) {
            continue;
        }
        replaced.insert(multiplication.name.as_str(), fold.nodes()?);
        replaced.insert(product, Vec::new());
        // Weights that nothing else reads have gone into the scaled ones.
        let weights = fold.weights.name.as_str();
        // Only weights that the product reads directly: through an `Identity` there would be another reader.
        if readers.get(weights) == Some(&1) && fold.product.input.iter().any(|input| source(input) == weights)
        {
            scaled.insert(weights);
        }
    }
    if replaced.is_empty() {
        return Ok(graph.clone());
    }
    let mut node = Vec::with_capacity(graph.node.len());
    for old in &graph.node {
        let name = old.name.as_str();
        match replaced.get(name) {
            Some(new) => node.extend(new.iter().cloned()),
            None if scaled.contains(name) => {}
            None => node.push(old.clone()),
        }
    }
    Ok(GraphDef { node, ..graph.clone() })
}

/// A product, and its multiplication by constants.
struct Fold<'g> {
    /// The multiplication, whose name the folded product takes.
    multiplication: &'g NodeDef,
    /// The product before it, which goes.
    product: &'g NodeDef,
    /// The constant with the weights of the product.
    weights: &'g NodeDef,
    /// The value of the weights.
    values: Tensor,
    /// One for each channel.
    factors: Vec<f32>,
    /// The channels are the rows of the weights, not their columns.
    by_rows: bool,
}

impl<'g> Fold<'g> {
    /// Returns the fold of a multiplication, if it is one of a product by constants of its channels.
    fn of(
        multiplication: &'g NodeDef,
        by_name: &HashMap<&str, &'g NodeDef>,
        readers: &HashMap<&str, usize>,
    ) -> Option<Fold<'g>> {
        let [left, right] = multiplication.input.as_slice() else { return None };
        if multiplication.op != "Mul" || is_control(left) || is_control(right) {
            return None;
        }
        let fold = |product: &str, factors: &str| {
            let product = *by_name.get(source(product)).filter(|_| index(product) == 0)?;
            let is_product = matches!(product.op.as_str(), "MatMul" | "Conv2D" | "DepthwiseConv2dNative");
            // Control inputs of the product stay with it.
            if !is_product || readers.get(product.name.as_str()) != Some(&1) {
                return None;
            }
            let (weights, values) = constant_input(product, 1, by_name)?;
            values.as_slice::<f32>().ok()?;
            let by_rows = product.op == "MatMul" && flag(product, "transpose_b");
            let channels = match (product.op.as_str(), values.shape().dims()) {
                ("MatMul", &[rows, columns]) => {
                    if by_rows {
                        rows
                    } else {
                        columns
                    }
                }
                ("Conv2D", &[_, _, _, outer]) => outer,
                ("DepthwiseConv2dNative", &[_, _, inner, outer]) => inner * outer,
                _ => return None,
            };
            let (dims, factors) = known(factors, by_name, DEPTH)?;
            let rank = if product.op == "MatMul" { 2 } else { 4 };
            // A factor along another axis would scale something other than channels.
            let others = dims.split_last().map_or(&[][..], |(_, others)| others);
            let is_plain = dims.len() <= rank && others.iter().all(|&size| size == 1);
            let factors = match factors.len() {
                _ if channels == 0 || !is_plain => return None,
                1 => vec![factors[0]; channels],
                // Along the last axis are the channels only if they come last.
                count if count == channels && !channels_first(product) => factors,
                _ => return None,
            };
            Some(Fold { multiplication, product, weights, values, factors, by_rows })
        };
        // The product may be on either side.
        fold(left, right).or_else(|| fold(right, left))
    }

    /// Returns the name of the constant with the scaled weights.
    fn weights_name(&self) -> String {
        format!("{}_weights", self.product.name)
    }

    /// Returns the nodes that replace the product and the multiplication: the scaled weights, and the product with them.
    fn nodes(&self) -> Result<Vec<NodeDef>> {
        let mut weights = self.values.to_vec::<f32>()?;
        let (channels, width) = (self.factors.len(), self.values.shape().dims().last().copied().unwrap_or(1));
        for (place, weight) in weights.iter_mut().enumerate() {
            let channel = if self.by_rows { place / width.max(1) } else { place % channels };
            *weight *= self.factors[channel];
        }
        let weights =
            constant(&self.weights_name(), &Tensor::from_vec(weights, self.values.shape().clone())?)?;
        let mut product = self.product.clone();
        product.name.clone_from(&self.multiplication.name);
        product.input[1].clone_from(&weights.name);
        Ok(vec![weights, product])
    }
}

/// Returns true if an attribute is present and true.
fn flag(node: &NodeDef, name: &str) -> bool {
    matches!(attr(node, name), Some(Value::Bool(true)))
}

/// Returns true for a convolution whose channels are not the last axis.
fn channels_first(node: &NodeDef) -> bool {
    matches!(attr(node, "data_format"), Some(Value::String(format)) if format == "NCHW")
}

/// The operations between a constant and what is computed from it, at most.
const DEPTH: usize = 16;

/// Returns the shape and elements of a value that only depends on constants, as the factor of a batch norm does on its variance.
fn known(input: &str, by_name: &HashMap<&str, &NodeDef>, depth: usize) -> Option<(Vec<usize>, Vec<f32>)> {
    let node =
        *by_name.get(source(input)).filter(|_| depth > 0 && index(input) == 0 && !is_control(input))?;
    if node.op == "Const" {
        let value = constant_value(node)?;
        return Some((value.shape().to_vec(), value.to_vec::<f32>().ok()?));
    }
    let operand = |place: usize| known(node.input.get(place)?, by_name, depth - 1);
    if node.input.iter().any(|input| is_control(input)) {
        return None;
    }
    let each = |function: fn(f32) -> f32| {
        let (dims, values) = operand(0)?;
        Some((dims, values.into_iter().map(function).collect()))
    };
    let both = |function: fn(f32, f32) -> f32| {
        let ((left_dims, left), (right_dims, right)) = (operand(0)?, operand(1)?);
        // A single number applies to all elements; batch norms need no other broadcasting.
        match (left.as_slice(), right.as_slice()) {
            (_, &[right]) if left_dims.len() >= right_dims.len() => {
                Some((left_dims, left.into_iter().map(|left| function(left, right)).collect()))
            }
            (&[left], _) if right_dims.len() >= left_dims.len() => {
                Some((right_dims, right.into_iter().map(|right| function(left, right)).collect()))
            }
            _ if left_dims == right_dims => Some((
                left_dims,
                left.into_iter().zip(right).map(|(left, right)| function(left, right)).collect(),
            )),
            _ => None,
        }
    };
    match node.op.as_str() {
        "Identity" => operand(0),
        "Rsqrt" => each(|x| 1.0 / x.sqrt()),
        "Sqrt" => each(f32::sqrt),
        "Add" | "AddV2" => both(|a, b| a + b),
        "Sub" => both(|a, b| a - b),
        "Mul" => both(|a, b| a * b),
        "RealDiv" => both(|a, b| a / b),
        _ => None,
    }
}
