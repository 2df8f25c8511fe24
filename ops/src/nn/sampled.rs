//! Losses over a large number of classes, of which each step considers a sample.

use super::candidate::{Candidates, SamplerOptions, compute_accidental_hits, log_uniform_candidate_sampler};
use super::cross_entropy::{sigmoid_cross_entropy_with_logits, softmax_cross_entropy_with_logits};
use super::embedding::{PartitionStrategy, Table, embedding_lookup_partitioned};
use crate::array::constants::scalar_tensor;
use crate::array::{
    concat, constant, expand_dims, ones_like, reshape, shape, slice, stack, stop_gradient, strided_slice,
    zeros_like,
};
use crate::composite::Composite;
use crate::math::{MatMulOptions, add, cast, log, matmul_with, mul, real_div, reduce_sum, sub};
use crate::parsing::raw::SPARSE_TO_DENSE;
use session_core::{AsOutput, DType, Error, Output};

/// Options of [`sampled_softmax_loss`] and [`nce_loss`].
///
/// ```
/// use ops::nn::SampledLossOptions;
/// let options = SampledLossOptions::default().remove_accidental_hits(false).seed(1);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct SampledLossOptions {
    sampled_values: Option<Candidates>,
    remove_accidental_hits: Option<bool>,
    partition_strategy: PartitionStrategy,
    seed: Option<i64>,
}

impl SampledLossOptions {
    /// Sets the sampled classes. Default: [`log_uniform_candidate_sampler`] without repetition, which suits classes that are sorted by
    /// decreasing frequency.
    #[must_use]
    pub fn sampled_values(mut self, sampled_values: Candidates) -> Self {
        self.sampled_values = Some(sampled_values);
        self
    }

    /// Sets whether sampled classes that are true classes of an example are ignored for the example. Default: true in
    /// [`sampled_softmax_loss`], false in [`nce_loss`].
    #[must_use]
    pub fn remove_accidental_hits(mut self, remove: bool) -> Self {
        self.remove_accidental_hits = Some(remove);
        self
    }

    /// Sets the distribution of classes over the parts of the weights and biases. Default: [`PartitionStrategy::Mod`].
    #[must_use]
    pub fn partition_strategy(mut self, partition_strategy: PartitionStrategy) -> Self {
        self.partition_strategy = partition_strategy;
        self
    }

    /// Sets the operation-level seed of the sampler. Default: none.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// Returns the softmax cross entropy of each example over its true classes and a sample of all others, for training only:
/// evaluation takes all classes.
///
/// `weights` `[classes, depth]` and `biases` `[classes]` are given in one part or several, `labels` `[batch, true classes]` are of
/// an integer dtype, `inputs` are `[batch, depth]`. Several true classes of an example share its probability evenly.
///
/// ```
/// use ops::array::{constant, zeros};
/// use ops::nn::{SampledLossOptions, sampled_softmax_loss};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let (weights, biases) = (zeros(&graph, DType::Float32, [1000, 8]), zeros(&graph, DType::Float32, [1000]));
/// let labels = constant(&graph, [[3i64], [17]]);
/// let inputs = zeros(&graph, DType::Float32, [2, 8]);
/// let options = SampledLossOptions::default().seed(1);
/// let losses = sampled_softmax_loss(&[weights], &[biases], &labels, &inputs, 20, 1000, &options);
/// assert_eq!(losses.shape().to_string(), "[2]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn sampled_softmax_loss<W: Table, B: Table>(
    weights: &[W],
    biases: &[B],
    labels: impl AsOutput,
    inputs: impl AsOutput,
    num_sampled: usize,
    num_classes: usize,
    options: &SampledLossOptions,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "sampled_softmax_loss");
    let sampled = Sampled { scope: &scope, options, num_sampled, num_classes, remove_by_default: true };
    let (logits, labels) = sampled.logits(weights, biases, labels.as_output(), inputs.as_output());
    // Labels get no gradient.
    scope.leave(softmax_cross_entropy_with_logits(stop_gradient(labels), logits))
}

/// Returns the noise-contrastive loss of each example: the sum of the sigmoid cross entropies of its true classes and of a sample of
/// all classes.
///
/// The arguments are those of [`sampled_softmax_loss`].
///
/// ```
/// use ops::array::{constant, zeros};
/// use ops::nn::{SampledLossOptions, nce_loss};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let (weights, biases) = (zeros(&graph, DType::Float32, [1000, 8]), zeros(&graph, DType::Float32, [1000]));
/// let inputs = zeros(&graph, DType::Float32, [2, 8]);
/// let labels = constant(&graph, [[3i64], [17]]);
/// let losses = nce_loss(&[weights], &[biases], &labels, &inputs, 20, 1000, &SampledLossOptions::default().seed(1));
/// assert_eq!(losses.shape().to_string(), "[2]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn nce_loss<W: Table, B: Table>(
    weights: &[W],
    biases: &[B],
    labels: impl AsOutput,
    inputs: impl AsOutput,
    num_sampled: usize,
    num_classes: usize,
    options: &SampledLossOptions,
) -> Output {
    let scope = Composite::new(&inputs.as_output().graph(), "nce_loss");
    let sampled = Sampled { scope: &scope, options, num_sampled, num_classes, remove_by_default: false };
    let (logits, labels) = sampled.logits(weights, biases, labels.as_output(), inputs.as_output());
    // Each class, true or sampled, is a question of its own, answered by yes or no.
    scope.leave(reduce_sum(sigmoid_cross_entropy_with_logits(labels, logits), 1))
}

struct Sampled<'a> {
    scope: &'a Composite,
    options: &'a SampledLossOptions,
    num_sampled: usize,
    num_classes: usize,
    remove_by_default: bool,
}

impl Sampled<'_> {
    /// Returns logits and labels of the true classes and of the sampled ones, in this order.
    fn logits<W: Table, B: Table>(
        &self,
        weights: &[W],
        biases: &[B],
        labels: &Output,
        inputs: &Output,
    ) -> (Output, Output) {
        let (scope, graph) = (self.scope, self.scope.graph());
        let truths = labels.shape().dim(1).unwrap_or_else(|| {
            let text = format!(
                "labels are [batch, true classes] with a known number of true classes, not of shape {}",
                labels.shape()
            );
            graph.add_error(Error::value(text));
            1
        });
        let inputs = scope.enter(inputs);
        let labels = cast(scope.enter(labels), DType::Int64);
        let drawn = self.sample(&labels);
        let flat = reshape(&labels, [-1]);
        // True classes first: their number is known only in the run if the batch is.
        let ids = concat(&[flat.clone(), drawn.sampled.clone()], 0);
        let strategy = self.options.partition_strategy;
        let (count, sampled_count) = (shape(&flat), self.num_sampled as i64);

        // One lookup for both, so that the gradient of the table comes in one piece.
        let all = embedding_lookup_partitioned(weights, &ids, strategy);
        let zero = constant(graph, [0i32]);
        let rest = constant(graph, [-1i32]);
        let start = concat(&[zero.clone(), zero.clone()], 0);
        let of_truths = slice(&all, &start, concat(&[count.clone(), rest.clone()], 0));
        let of_sampled = slice(
            &all,
            concat(&[count.clone(), zero.clone()], 0),
            constant(graph, [sampled_count as i32, -1]),
        );
        let all = embedding_lookup_partitioned(biases, &ids, strategy);
        let bias_of_truths = slice(&all, &zero, &count);
        let bias_of_sampled = slice(&all, &count, constant(graph, [sampled_count as i32]));

        let transposed = MatMulOptions::default().transpose_b(true);
        let mut of_sampled = add(matmul_with(&inputs, of_sampled, transposed), bias_of_sampled);
        let width = constant(graph, [-1i32, truths as i32]);
        let depth = strided_slice(shape(&of_truths), &[crate::array::Index::from(1..2)]);
        let of_truths = reshape(of_truths, concat(&[width.clone(), depth], 0));
        let products = mul(expand_dims(&inputs, 1), of_truths);
        let mut of_truths = add(reduce_sum(products, 2), reshape(bias_of_truths, &width));
        if self.options.remove_accidental_hits.unwrap_or(self.remove_by_default) {
            of_sampled = add(&of_sampled, self.hits(&labels, &drawn.sampled, of_sampled.dtype()));
        }
        // A class drawn often would be pushed down often; the logarithm of how often it
        // is expected makes up for it.
        let expected = |count: &Output, logits: &Output| log(cast(count, logits.dtype()));
        of_truths = sub(&of_truths, expected(&drawn.true_expected_count, &of_truths));
        of_sampled = sub(&of_sampled, expected(&drawn.sampled_expected_count, &of_sampled));

        // Several true classes share a probability of 1.
        let share = constant(graph, scalar_tensor(of_truths.dtype(), truths as f64));
        let labels = concat(&[real_div(ones_like(&of_truths), share), zeros_like(&of_sampled)], 1);
        (concat(&[of_truths, of_sampled], 1), labels)
    }

    fn sample(&self, labels: &Output) -> Candidates {
        let drawn = self.options.sampled_values.clone().unwrap_or_else(|| {
            // Distinct classes, and small numbers more often: classes are expected in
            // descending order of their frequency.
            let options = SamplerOptions::default().unique(true);
            let options = self.options.seed.map_or(options, |seed| options.seed(seed));
            let range_max = i64::try_from(self.num_classes).unwrap_or(i64::MAX);
            log_uniform_candidate_sampler(labels, self.num_sampled, range_max, options)
        });
        // The loss does not train through the choice of the classes.
        let constant = |output: &Output| stop_gradient(self.scope.enter(output));
        Candidates {
            sampled: cast(constant(&drawn.sampled), DType::Int64),
            true_expected_count: constant(&drawn.true_expected_count),
            sampled_expected_count: constant(&drawn.sampled_expected_count),
        }
    }

    /// Returns what takes the logits of sampled classes out that are true ones of their example.
    fn hits(&self, labels: &Output, sampled: &Output, dtype: DType) -> Output {
        let graph = self.scope.graph();
        let [examples, places, weights] = compute_accidental_hits(labels, sampled);
        let places = cast(places, DType::Int32);
        let rows = strided_slice(shape(labels), &[crate::array::Index::from(..1)]);
        let sizes = concat(&[rows, constant(graph, [self.num_sampled as i32])], 0);
        // Two true classes of an example may be the same, which yields one place twice.
        let builder = graph.op(&SPARSE_TO_DENSE).input(stack(&[examples, places], 1)).input(sizes);
        let builder = builder.input(cast(weights, dtype)).constant(scalar_tensor(dtype, 0.0));
        builder.attr("validate_indices", false).finish_output()
    }
}
