//! Lookups of several rows per example, combined into one row.

use super::embedding::{PartitionStrategy, Table, embedding_lookup_partitioned};
use crate::array::constants::scalar_like;
use crate::array::gathering::gather;
use crate::array::searching::unique;
use crate::array::shaping::reshape;
use crate::array::slicing::{Index, strided_slice};
use crate::composite::Composite;
use crate::keep_dims;
use crate::math::binary::{div_no_nan, minimum, mul};
use crate::math::cast::cast;
use crate::math::reduce::reduce_sum;
use crate::math::segment::{segment_sum, sparse_segment_mean, sparse_segment_sqrt_n, sparse_segment_sum};
use crate::math::unary::{rsqrt, sqrt, square};
use crate::parsing::SparseTensor;
use session_core::{DType, Error, Output};

/// The way in which the rows of one example are combined into one row.
///
/// ```
/// use ops::nn::{Combiner, EmbeddingOptions};
/// let bag_of_words = EmbeddingOptions::default().combiner(Combiner::SqrtN);
/// # let _ = bag_of_words;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combiner {
    /// The weighted sum of the rows.
    Sum,
    /// The weighted sum, divided by the sum of the weights.
    #[default]
    Mean,
    /// The weighted sum, divided by the square root of the sum of the squared weights.
    SqrtN,
}

/// Options of [`embedding_lookup_sparse`].
///
/// ```
/// use ops::nn::{Combiner, EmbeddingOptions};
/// let options = EmbeddingOptions::default().combiner(Combiner::Sum).max_norm(1.0);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EmbeddingOptions {
    combiner: Combiner,
    partition_strategy: PartitionStrategy,
    max_norm: Option<f64>,
}

impl EmbeddingOptions {
    /// Sets the way in which the rows of an example are combined. Default: [`Combiner::Mean`].
    #[must_use]
    pub fn combiner(mut self, combiner: Combiner) -> Self {
        self.combiner = combiner;
        self
    }

    /// Sets the distribution of rows over the parts of a table. Default: [`PartitionStrategy::Mod`].
    #[must_use]
    pub fn partition_strategy(mut self, partition_strategy: PartitionStrategy) -> Self {
        self.partition_strategy = partition_strategy;
        self
    }

    /// Scales each row down to at most this norm before it is combined. Default: no limit.
    #[must_use]
    pub fn max_norm(mut self, max_norm: f64) -> Self {
        self.max_norm = Some(max_norm);
        self
    }
}

/// Returns one row for each example: the rows of a table that its ids name, combined.
///
/// `sp_ids` has a row for each example and its ids, of an integer dtype, as values in order; each example needs one id at least.
/// `sp_weights`, if given, has the weight of each id at the same indices. `params` are the parts of the table, one or more.
///
/// ```
/// use ops::array::constant;
/// use ops::nn::{EmbeddingOptions, embedding_lookup_sparse};
/// use ops::parsing::SparseTensor;
/// use session_core::Graph;
/// let graph = Graph::new();
/// let table = constant(&graph, [[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// let ids = SparseTensor {
///     indices: constant(&graph, [[0i64, 0], [0, 1], [1, 0]]), // two ids of example 0, one of example 1
///     values: constant(&graph, [0i64, 2, 1]),
///     dense_shape: constant(&graph, [2i64, 2]),
/// };
/// let rows = embedding_lookup_sparse(&[table], &ids, None, &EmbeddingOptions::default());
/// assert_eq!(rows.shape().to_string(), "[?,2]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn embedding_lookup_sparse<T: Table>(
    params: &[T],
    sp_ids: &SparseTensor,
    sp_weights: Option<&SparseTensor>,
    options: &EmbeddingOptions,
) -> Output {
    let scope = Composite::new(&sp_ids.values.graph(), "embedding_lookup_sparse");
    let indices = scope.enter(&sp_ids.indices);
    // The first column of the indices: the example that an identifier belongs to.
    let of_example = cast(strided_slice(indices, &[Index::from(..), Index::At(0)]), DType::Int32);
    // An identifier that occurs in several examples is looked up, and its norm limited, once.
    let (ids, places) = unique(scope.enter(&sp_ids.values));
    let mut rows = embedding_lookup_partitioned(params, ids, options.partition_strategy);
    if let Some(limit) = options.max_norm {
        if limit.is_nan() || limit <= 0.0 {
            scope.graph().add_error(Error::value(format!("max_norm is {limit}, but must be positive")));
        }
        rows = limited(&rows, limit);
    }
    let combined = match sp_weights {
        Some(weights) => weighted(&scope, &rows, &places, &of_example, &weights.values, options.combiner),
        None => match options.combiner {
            Combiner::Sum => sparse_segment_sum(scope.enter_last(rows), places, of_example),
            Combiner::Mean => sparse_segment_mean(scope.enter_last(rows), places, of_example),
            Combiner::SqrtN => sparse_segment_sqrt_n(scope.enter_last(rows), places, of_example),
        },
    };
    scope.leave(combined)
}

fn weighted(
    scope: &Composite,
    rows: &Output,
    places: &Output,
    of_example: &Output,
    weights: &Output,
    combiner: Combiner,
) -> Output {
    let all = gather(rows, places);
    // One weight per row, shaped to multiply all numbers of the row.
    let weights = cast(scope.enter(weights), all.dtype());
    let ones = vec![1i64; all.shape().rank().unwrap_or(2).saturating_sub(1)];
    let columns: Vec<i64> = [-1].into_iter().chain(ones).collect();
    let sum = segment_sum(mul(all, reshape(&weights, columns.clone())), of_example);
    // The weights of an example may add up to 0, or there may be none.
    let by = |total: Output| div_no_nan(&sum, reshape(total, columns.clone()));
    match combiner {
        // A sum keeps the scale of the weights; the other two divide it out.
        Combiner::Sum => sum,
        Combiner::Mean => by(segment_sum(&weights, of_example)),
        Combiner::SqrtN => by(sqrt(segment_sum(square(&weights), of_example))),
    }
}

/// Scales rows down to at most this norm.
fn limited(rows: &Output, limit: f64) -> Output {
    let axes: Vec<i64> = (1..rows.shape().rank().unwrap_or(2) as i64).collect();
    let squares = reduce_sum(square(rows), keep_dims(axes));
    // A row of zeros has an infinite factor, which the minimum below makes 1.
    let factor = mul(rsqrt(&squares), scalar_like(rows, limit));
    mul(rows, minimum(factor, scalar_like(rows, 1.0)))
}
