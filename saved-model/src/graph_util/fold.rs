//! Batch norms folded into the convolutions before them.

use super::node::{attr, constant, constant_value, index, is_control, source, value};
use super::scale::fold_scales;
use graph_def::proto::{GraphDef, NodeDef, Value};
use session_core::{Result, Tensor};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Folds each batch normalization into the convolution before it if all parameters are constants: the weights are scaled, and a `BiasAdd`
/// with the name of the normalization adds the rest. The parameters stay in the graph; [`strip_unused`](super::strip_unused) removes them.
///
/// A normalization of several operations multiplies by its scale and then adds an offset. The multiplication by constants, one number or one for
/// each channel, is folded into a `MatMul` or convolution before it, which takes its name; the addition stays.
///
/// The constants may pass through `Identity` operations, as those of frozen variables do. A convolution or `MatMul` with other consumers is
/// not changed.
///
/// ```
/// use saved_model::graph_util::fold_batch_norms;
/// # let path = "tests/fixtures/frozen_conv_bn/trimmed.pb";
/// let graph = graph_def::read_graph_file(path)?.graph_def.unwrap_or_default();
/// let folded = fold_batch_norms(&graph)?;
/// assert!(folded.node.iter().any(|node| node.op == "BiasAdd"));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Scaled weights that are too large to be written.
pub fn fold_batch_norms(graph: &GraphDef) -> Result<GraphDef> {
    let by_name: HashMap<&str, &NodeDef> = graph.node.iter().map(|node| (node.name.as_str(), node)).collect();
    let mut readers: HashMap<&str, Vec<(&NodeDef, usize)>> = HashMap::new();
    for node in &graph.node {
        for input in &node.input {
            readers.entry(source(input)).or_default().push((node, index(input)));
        }
    }
    let mut replaced: HashMap<&str, Vec<NodeDef>> = HashMap::new();
    let mut scaled: HashSet<&str> = HashSet::new();
    for norm in &graph.node {
        let Some(fold) = Fold::of(norm, &by_name, &readers) else { continue };
        scaled.insert(&fold.weights.name);
        let convolution = fold.convolution.name.as_str();
        replaced.insert(norm.name.as_str(), fold.nodes()?);
        replaced.insert(convolution, Vec::new());
    }
    // Weights that nothing else reads have gone into the scaled ones.
    let is_left = |name: &str| {
        let users = readers.get(name).into_iter().flatten();
        let mut others = users.filter(|(node, _)| !replaced.contains_key(node.name.as_str()));
        others.next().is_some()
    };
    let mut node = Vec::with_capacity(graph.node.len());
    for old in &graph.node {
        let name = old.name.as_str();
        match replaced.get(name) {
            Some(new) => node.extend(new.iter().cloned()),
            None if scaled.contains(name) && !is_left(name) => {}
            None => node.push(old.clone()),
        }
    }
    fold_scales(&GraphDef { node, ..graph.clone() })
}

/// A batch norm after a convolution.
struct Fold<'g> {
    /// The batch normalization.
    norm: &'g NodeDef,
    /// The convolution before it.
    convolution: &'g NodeDef,
    /// The constant with the weights of the convolution.
    weights: &'g NodeDef,
    /// The scaled weights.
    values: Tensor,
    /// The factor of each output channel.
    scale: Vec<f32>,
    /// The offset that replaces the rest of the normalization.
    offset: Vec<f32>,
}

impl<'g> Fold<'g> {
    fn of(
        norm: &'g NodeDef,
        by_name: &HashMap<&str, &'g NodeDef>,
        readers: &HashMap<&str, Vec<(&NodeDef, usize)>>,
    ) -> Option<Fold<'g>> {
        let parameters = Parameters::of(norm, by_name)?;
        // Another output of the norm, or an operation that waits for it, needs the norm itself.
        let used = readers.get(norm.name.as_str()).into_iter().flatten();
        if used.clone().any(|(_, index)| *index != 0) || norm.input.iter().any(|input| is_control(input)) {
            return None;
        }
        let convolution = *by_name.get(source(norm.input.first()?))?;
        // The convolution is replaced, so nothing else may read it.
        let is_alone = readers.get(convolution.name.as_str()).is_some_and(|users| users.len() == 1);
        if !is_alone || !matches!(convolution.op.as_str(), "Conv2D" | "DepthwiseConv2dNative") {
            return None;
        }
        let (weights, values) = constant_input(convolution, 1, by_name)?;
        let dims = values.shape().dims().to_vec();
        let &[_, _, inner, outer] = dims.as_slice() else { return None };
        let channels = if convolution.op == "Conv2D" { outer } else { inner * outer };
        // Other dtypes would need arithmetic of their own and stay as they are.
        values.as_slice::<f32>().ok()?;
        let (scale, offset) = parameters.scale_and_offset(channels)?;
        Some(Fold { norm, convolution, weights, values, scale, offset })
    }

    /// Returns the nodes that replace the convolution and the norm.
    fn nodes(&self) -> Result<Vec<NodeDef>> {
        let name = &self.convolution.name;
        let channels = self.scale.len();
        let mut weights = self.values.to_vec::<f32>()?;
        // The last dimensions are the output channels: `out`, or `in, multiplier` for depthwise ones.
        for (place, weight) in weights.iter_mut().enumerate() {
            *weight *= self.scale[place % channels];
        }
        let weights =
            constant(&format!("{name}_weights"), &Tensor::from_vec(weights, self.values.shape().clone())?)?;
        let offset = constant(&format!("{name}_bn_offset"), &Tensor::from(self.offset.clone()))?;
        let mut convolution = self.convolution.clone();
        convolution.input[1] = weights.name.clone();
        let mut attrs = BTreeMap::new();
        for key in ["T", "data_format"] {
            if let Some(known) = attr(self.convolution, key) {
                attrs.insert(key.to_owned(), value(known));
            }
        }
        let add = NodeDef {
            name: self.norm.name.clone(),
            op: "BiasAdd".to_owned(),
            input: vec![name.clone(), offset.name.clone()],
            device: self.norm.device.clone(),
            attr: attrs,
            ..NodeDef::default()
        };
        Ok(vec![weights, convolution, offset, add])
    }
}

/// Returns the constant that is an input of a node, directly or through `Identity` operations, with its value.
pub(super) fn constant_input<'g>(
    node: &'g NodeDef,
    place: usize,
    by_name: &HashMap<&str, &'g NodeDef>,
) -> Option<(&'g NodeDef, Tensor)> {
    let mut input = node.input.get(place)?;
    // Each node is passed at most once, unless the graph is a circle.
    for _ in 0..by_name.len() {
        let producer = *by_name.get(source(input))?;
        if is_control(input) || index(input) != 0 {
            return None;
        }
        if producer.op != "Identity" {
            return Some((producer, constant_value(producer)?));
        }
        input = producer.input.first()?;
    }
    None
}

/// The parameters of a batch norm.
struct Parameters {
    /// The scale; `None` for 1.
    gamma: Option<Vec<f32>>,
    /// The offset.
    beta: Vec<f32>,
    /// The mean of the inputs.
    mean: Vec<f32>,
    /// The variance of the inputs.
    variance: Vec<f32>,
    /// The number that is added to the variance.
    epsilon: f32,
}

impl Parameters {
    fn of(norm: &NodeDef, by_name: &HashMap<&str, &NodeDef>) -> Option<Parameters> {
        let constant = |place: usize| -> Option<Vec<f32>> {
            let (_, values) = constant_input(norm, place, by_name)?;
            values.to_vec::<f32>().ok()
        };
        let number = |name: &str, default: f32| match attr(norm, name) {
            Some(Value::Float(value)) => value,
            _ => default,
        };
        match norm.op.as_str() {
            "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => {
                // In training the moments are those of the batch.
                if !matches!(attr(norm, "is_training"), Some(Value::Bool(false))) {
                    return None;
                }
                Some(Parameters {
                    gamma: Some(constant(1)?),
                    beta: constant(2)?,
                    mean: constant(3)?,
                    variance: constant(4)?,
                    // The default in the definition of the op.
                    epsilon: number("epsilon", 1e-4),
                })
            }
            "BatchNormWithGlobalNormalization" => {
                let scales = matches!(attr(norm, "scale_after_normalization"), Some(Value::Bool(true)));
                let gamma = constant(4)?;
                Some(Parameters {
                    gamma: scales.then_some(gamma),
                    beta: constant(3)?,
                    mean: constant(1)?,
                    variance: constant(2)?,
                    epsilon: number("variance_epsilon", 0.0),
                })
            }
            _ => None,
        }
    }

    /// Returns the factor and the summand of each channel.
    fn scale_and_offset(&self, channels: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        let lengths = [&self.beta, &self.mean, &self.variance].map(Vec::len);
        if channels == 0
            || lengths != [channels; 3]
            || self.gamma.as_ref().is_some_and(|gamma| gamma.len() != channels)
        {
            return None;
        }
        let gamma = |channel: usize| self.gamma.as_ref().map_or(1.0, |gamma| gamma[channel]);
        let scale: Vec<f32> = (0..channels)
            .map(|channel| gamma(channel) / (self.variance[channel] + self.epsilon).sqrt())
            .collect();
        let offset =
            (0..channels).map(|channel| self.beta[channel] - self.mean[channel] * scale[channel]).collect();
        Some((scale, offset))
    }
}
