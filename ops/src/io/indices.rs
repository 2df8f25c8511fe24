//! The examples of a step: positions in a seeded order, kept by the session and its checkpoints.
//!
//! [`index_batch`] returns the numbers of the next examples. No thread runs ahead: the step that takes the numbers advances the position,
//! so the state of the session between two steps is exactly what finished steps have taken. A checkpoint stores it with the variables, and a
//! restored run takes the numbers that would have come next. This costs the same at every position, because the order of an epoch is a
//! permutation that is computed element by element.
//!
//! TensorFlow has no such operation: a graph that uses it runs only on the embedded engine.

use crate::arguments::Ints;
use crate::array::constant;
use crate::library::op_defs;
use crate::random::get_seed;
use session_core::{DType, Error, Graph, OpDef, Output, PartialShape, Result, ShapeContext};
use tensor::Tensor;

op_defs! {
    INDEX_BATCH: OpDef::new("IndexBatch", "limit: int64 -> indices: int64")
        .attrs("batch_size: int, num_epochs: int = -1, shuffle: bool = true, allow_smaller_final_batch: bool = false, seed: int = 0, seed2: int = 0")
        .stateful().shape(one_batch).not_differentiable();
}

fn one_batch(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 0)?;
    let flag = |name: &str| crate::shapes::bool_attr(context, name);
    let size = usize::try_from(crate::shapes::int_attr(context, "batch_size")?).ok();
    let size = if flag("allow_smaller_final_batch") { None } else { size };
    context.set(0, PartialShape::from([size]));
    Ok(())
}

/// Options of [`index_batch`].
///
/// ```
/// use ops::io::IndexOptions;
/// let options = IndexOptions::default().allow_smaller_final_batch(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    num_epochs: Option<u64>,
    shuffle: bool,
    seed: Option<i64>,
    allow_smaller_final_batch: bool,
}

impl Default for IndexOptions {
    /// Shuffled, without end, by the graph's seed; without one, by a seed that the first step draws and checkpoints keep.
    fn default() -> IndexOptions {
        IndexOptions { num_epochs: None, shuffle: true, seed: None, allow_smaller_final_batch: false }
    }
}

impl IndexOptions {
    /// Sets the number of epochs, after which the operation fails with `OutOfRange`. Default: unlimited.
    ///
    /// ```
    /// use ops::io::IndexOptions;
    /// let options = IndexOptions::default().num_epochs(3);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn num_epochs(mut self, num_epochs: u64) -> Self {
        self.num_epochs = Some(num_epochs);
        self
    }

    /// Sets whether each epoch has its own order, rather than going from the first example to the last. Default: true.
    ///
    /// ```
    /// use ops::io::IndexOptions;
    /// let options = IndexOptions::default().shuffle(false);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Sets the operation-level seed of the order, in addition to that of the graph (see [`get_seed`]). With
    /// either seed, every run has the same order.
    ///
    /// ```
    /// use ops::io::IndexOptions;
    /// let options = IndexOptions::default().seed(7);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets whether the remaining examples of an epoch form a smaller batch; otherwise they are left out. Default: false.
    #[must_use]
    pub fn allow_smaller_final_batch(mut self, allow: bool) -> Self {
        self.allow_smaller_final_batch = allow;
        self
    }
}

/// Returns the numbers, from 0 to `limit`, of the next `batch_size` examples: a vector of `int64`, with which
/// [`gather`](crate::array::gather) takes rows. Batches continue across the ends of epochs; within an epoch not a number comes
/// twice.
///
/// The step that evaluates it takes the examples. Reaching the end is `OutOfRange`, which ends a monitored loop.
///
/// ```
/// use ops::array::{constant, gather};
/// use ops::io::{IndexOptions, index_batch};
/// use session_core::{Graph, Tensor};
///
/// let graph = Graph::new();
/// let images = constant(&graph, Tensor::full(0.5f32, [1000, 64]));
/// let options = IndexOptions::default().seed(7).num_epochs(3);
/// let indices = index_batch(&graph.named("order"), 1000, 32, &options);
/// let batch = gather(&images, &indices);
/// assert_eq!(batch.shape().to_string(), "[32,64]");
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// In the graph: a batch size or a number of epochs of 0, several limits. When it runs: `InvalidArgument` for a limit
/// below 1, `FailedPrecondition` for another limit than the one of the checkpoint that the position is from.
#[must_use]
#[track_caller]
pub fn index_batch(
    graph: &Graph,
    limit: impl Into<Ints>,
    batch_size: usize,
    options: &IndexOptions,
) -> Output {
    let builder = graph.op(&INDEX_BATCH);
    let builder = match limit.into() {
        Ints::Scalar(limit) => builder.constant(Tensor::from(limit)),
        Ints::Computed(limit) if limit.dtype() == DType::Int64 => builder.input(limit),
        Ints::Computed(limit) => builder.input(crate::math::cast(limit, DType::Int64)),
        Ints::Vector(limits) => {
            graph.add_error(Error::value(format!("one limit is needed, not {}", limits.len())));
            builder.input(constant(graph, limits.first().copied().unwrap_or(1)))
        }
    };
    if batch_size == 0 {
        graph.add_error(Error::value("a batch needs at least one example, not 0"));
    }
    if options.num_epochs == Some(0) {
        graph.add_error(Error::value("num_epochs must be > 0, not 0"));
    }
    let seeds = if options.shuffle { get_seed(graph, options.seed) } else { (0, 0) };
    // Numbers beyond `i64::MAX` are as good as no end.
    let num_epochs = options.num_epochs.map_or(-1, |epochs| i64::try_from(epochs).unwrap_or(-1));
    builder
        .attr("batch_size", batch_size)
        .attr("num_epochs", num_epochs)
        .attr("shuffle", options.shuffle)
        .attr("allow_smaller_final_batch", options.allow_smaller_final_batch)
        .attr("seed", seeds.0)
        .attr("seed2", seeds.1)
        .finish_output()
}
