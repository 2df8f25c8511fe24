//! Sampled classes, for losses over a large number of classes.

use crate::library::op_defs;
use crate::random::get_seed;
use crate::shapes::int_attr;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    UNIFORM_CANDIDATE_SAMPLER: sampler_def("UniformCandidateSampler");
    LOG_UNIFORM_CANDIDATE_SAMPLER: sampler_def("LogUniformCandidateSampler");
    ALL_CANDIDATE_SAMPLER: OpDef::new("AllCandidateSampler", SAMPLES)
        .attrs("num_true: int32 >= 1, num_sampled: int32 >= 1, unique: bool, seed: int = 0, seed2: int = 0")
        .stateful().shape(sampled_shape).not_differentiable();
    COMPUTE_ACCIDENTAL_HITS: OpDef::new(
            "ComputeAccidentalHits",
            "true_classes: int64, sampled_candidates: int64 -> indices: int32, ids: int64, weights: float",
        )
        .attrs("num_true: int, seed: int = 0, seed2: int = 0").shape(hits_shape).not_differentiable();
}

const SAMPLES: &str = "true_classes: int64 -> sampled_candidates: int64, true_expected_count: float, \
                       sampled_expected_count: float";

const fn sampler_def(name: &'static str) -> OpDef {
    OpDef::new(name, SAMPLES)
        .attrs("num_true: int32 >= 1, num_sampled: int32 >= 1, unique: bool, range_max: int >= 1, seed: int = 0, seed2: int = 0")
        .stateful()
        .shape(sampled_shape)
        .not_differentiable()
}

fn size(context: &ShapeContext<'_>, attr: &str) -> Option<usize> {
    int_attr(context, attr).ok().and_then(|size| usize::try_from(size).ok())
}

fn sampled_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rows = context.input_of_rank(0, 2)?.dim(0);
    let (truths, sampled) = (size(context, "num_true"), size(context, "num_sampled"));
    context.set(0, PartialShape::from([sampled]));
    context.set(1, PartialShape::from([rows, truths]));
    context.set(2, PartialShape::from([sampled]));
    Ok(())
}

fn hits_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 2)?;
    context.input_of_rank(1, 1)?;
    (0..3).for_each(|output| context.set(output, PartialShape::from([None])));
    Ok(())
}

/// The classes that a sampler drew, and the expected counts of the drawn and of the true classes.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The drawn classes: `[num_sampled]`, `int64`.
    pub sampled: Output,
    /// The expected count of each true class, of the shape of the true classes, `float32`.
    pub true_expected_count: Output,
    /// The expected count of each drawn class: `[num_sampled]`, `float32`.
    pub sampled_expected_count: Output,
}

/// Options of a sampler.
///
/// ```
/// use ops::nn::SamplerOptions;
/// let options = SamplerOptions::default().unique(true).seed(1);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplerOptions {
    unique: bool,
    seed: Option<i64>,
}

impl SamplerOptions {
    /// Sets whether each class is drawn at most once. Default: false.
    #[must_use]
    pub fn unique(mut self, unique: bool) -> Self {
        self.unique = unique;
        self
    }

    /// Sets the operation-level seed, in addition to that of the graph. Default: none.
    ///
    /// ```
    /// use ops::nn::SamplerOptions;
    /// let options = SamplerOptions::default().seed(7);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// Draws `num_sampled` of the classes from 0 to `range_max`, exclusive, with equal probability, once for the whole batch.
/// `true_classes` is `[batch, num_true]`, `int64`.
///
/// ```
/// use ops::array::constant;
/// use ops::nn::{SamplerOptions, uniform_candidate_sampler};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let labels = constant(&graph, [[3i64], [7]]);
/// let drawn = uniform_candidate_sampler(&labels, 64, 10_000, SamplerOptions::default().unique(true));
/// assert_eq!(drawn.sampled.shape().to_string(), "[64]");
/// ```
#[must_use]
#[track_caller]
pub fn uniform_candidate_sampler(
    true_classes: impl AsOutput,
    num_sampled: usize,
    range_max: i64,
    options: SamplerOptions,
) -> Candidates {
    sample(&UNIFORM_CANDIDATE_SAMPLER, true_classes.as_output(), (num_sampled, range_max), options)
}

/// Works as [`uniform_candidate_sampler`], with a probability that decreases with the class, as for words sorted by frequency:
/// class `k` with `(log(k + 2) - log(k + 1)) / log(range_max + 1)`.
///
/// ```
/// use ops::array::constant;
/// use ops::nn::{SamplerOptions, log_uniform_candidate_sampler};
/// # let graph = session_core::Graph::new();
/// let words = constant(&graph, [[3i64], [7]]); // numbered by frequency
/// let drawn = log_uniform_candidate_sampler(&words, 64, 10_000, SamplerOptions::default().seed(1));
/// assert_eq!(drawn.true_expected_count.shape().to_string(), "[2,1]");
/// ```
#[must_use]
#[track_caller]
pub fn log_uniform_candidate_sampler(
    true_classes: impl AsOutput,
    num_sampled: usize,
    range_max: i64,
    options: SamplerOptions,
) -> Candidates {
    sample(&LOG_UNIFORM_CANDIDATE_SAMPLER, true_classes.as_output(), (num_sampled, range_max), options)
}

#[track_caller]
fn sample(
    def: &'static OpDef,
    classes: &Output,
    (num_sampled, range_max): (usize, i64),
    options: SamplerOptions,
) -> Candidates {
    let graph = classes.graph();
    let (seed, seed2) = get_seed(&graph, options.seed);
    // The attribute must have a number; an unknown one is taken for 1.
    let truths = classes.shape().dim(1).unwrap_or(1);
    let builder = graph.op(def).input(classes).attr("num_true", truths).attr("num_sampled", num_sampled);
    let builder = builder.attr("unique", options.unique).attr("range_max", range_max);
    candidates(&builder.attr("seed", seed).attr("seed2", seed2).finish())
}

fn candidates(operation: &Operation) -> Candidates {
    Candidates {
        sampled: operation.output(0),
        true_expected_count: operation.output(1),
        sampled_expected_count: operation.output(2),
    }
}

/// Returns where sampled classes are true ones of an example: the example, the place among the sampled, and a weight of
/// `-float32::MAX` that takes a logit out of a loss.
///
/// ```
/// use ops::array::constant;
/// use ops::nn::compute_accidental_hits;
/// # let graph = session_core::Graph::new();
/// let (labels, sampled) = (constant(&graph, [[3i64], [7]]), constant(&graph, [1i64, 7, 5]));
/// let [examples, positions, weights] = compute_accidental_hits(&labels, &sampled); // [1], [1], [-3.403e38]
/// # let _ = (examples, positions, weights);
/// ```
#[must_use]
#[track_caller]
pub fn compute_accidental_hits(true_classes: impl AsOutput, sampled: impl AsOutput) -> [Output; 3] {
    let classes = true_classes.as_output();
    let truths = classes.shape().dim(1).unwrap_or(1);
    let builder = classes.graph().op(&COMPUTE_ACCIDENTAL_HITS).input(classes).input(sampled);
    let operation = builder.attr("num_true", truths).finish();
    [0, 1, 2].map(|index| operation.output(index))
}
