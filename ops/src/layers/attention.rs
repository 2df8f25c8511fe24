//! Attention of several heads over sequences.

use super::{LayerOptions, Training, known_size};
use crate::array::constants::number;
use crate::array::{
    Index, concat, constant, matrix_band_part, ones, reshape, shape, strided_slice, transpose,
};
use crate::composite::Composite;
use crate::math::{MatMulOptions, add, cast, matmul, matmul_with, mul, sub};
use crate::nn::{bias_add, softmax};
use session_core::{AsOutput, DType, Error, Output, Reuse};

/// Options of [`multi_head_attention`].
///
/// ```
/// use ops::layers::{AttentionOptions, Training};
/// let options = AttentionOptions::default().use_causal_mask(true).dropout(0.1, Training::On, None);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    key: Option<Output>,
    value_dim: Option<usize>,
    output_size: Option<usize>,
    attention_mask: Option<Output>,
    use_causal_mask: bool,
    dropout: Option<(f64, Training, Option<i64>)>,
    layer: LayerOptions,
}

impl AttentionOptions {
    /// Sets the input from which the keys are computed. Default: the values.
    #[must_use]
    pub fn key(mut self, key: impl AsOutput) -> Self {
        self.key = Some(key.as_output().clone());
        self
    }

    /// Sets the size of a head's values. Default: that of its keys.
    #[must_use]
    pub fn value_dim(mut self, value_dim: usize) -> Self {
        self.value_dim = Some(value_dim);
        self
    }

    /// Sets the size of the last dimension of the result. Default: the last dimension of the queries.
    #[must_use]
    pub fn output_size(mut self, output_size: usize) -> Self {
        self.output_size = Some(output_size);
        self
    }

    /// Sets the values that each query may attend to: booleans of shape `[batch, queries, values]`, or of a shape that broadcasts to it.
    /// Default: all values.
    #[must_use]
    pub fn attention_mask(mut self, attention_mask: impl AsOutput) -> Self {
        self.attention_mask = Some(attention_mask.as_output().clone());
        self
    }

    /// Sets whether a query attends only to values at its own position and before, as in a decoder. Default: false.
    #[must_use]
    pub fn use_causal_mask(mut self, use_causal_mask: bool) -> Self {
        self.use_causal_mask = use_causal_mask;
        self
    }

    /// Sets the share of the attention weights that is dropped in training. Default: none.
    #[must_use]
    pub fn dropout(mut self, rate: f64, training: impl Into<Training>, seed: Option<i64>) -> Self {
        self.dropout = Some((rate, training.into(), seed));
        self
    }

    /// Sets the initializers, the regularizers, and the use of biases in all four projections. The activation of `layer` is ignored.
    #[must_use]
    pub fn layer(mut self, layer: LayerOptions) -> Self {
        self.layer = layer;
        self
    }
}

/// Lets each of the queries `[batch, queries, depth]` attend to the values `[batch, values, depth]` with `num_heads` heads, whose keys
/// have `key_dim` numbers: `softmax(q kᵀ / sqrt(key_dim)) v` for each, joined and projected.
///
/// Its scope is `multi_head_attention` with the variables `query`, `key` and `value` (kernels `[depth, heads, key_dim]`, biases `[heads,
/// key_dim]`) and `attention_output` (kernel `[heads, value_dim, depth]`). With the queries as values it is self-attention.
///
/// ```
/// use ops::layers::{AttentionOptions, multi_head_attention};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(10), Some(64)]);
/// let y = multi_head_attention(&x, &x, 4, 16, &AttentionOptions::default().use_causal_mask(true));
/// assert_eq!(y.shape().to_string(), "[?,10,64]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn multi_head_attention(
    query: impl AsOutput,
    value: impl AsOutput,
    num_heads: usize,
    key_dim: usize,
    options: &AttentionOptions,
) -> Output {
    let (query, value) = (query.as_output(), value.as_output());
    let scope = Composite::layer(&query.graph(), "multi_head_attention");
    // Keys are the values unless they are given, as in Keras.
    let key = options.key.as_ref().unwrap_or(value);
    for (what, input) in [("query", query), ("key", key), ("value", value)] {
        if input.shape().rank() != Some(3) {
            let (name, shape) = (input.name(), input.shape());
            let text = format!(
                "the {what} '{name}' of an attention is [batch, places, depth], not of shape {shape}"
            );
            scope.graph().add_error(Error::value(text));
            return scope.leave(query.clone());
        }
    }
    let value_dim = options.value_dim.unwrap_or(key_dim);
    let output_size = options.output_size.unwrap_or_else(|| known_size(&scope, query, 0));
    let heads = Heads { scope: &scope, options: &options.layer, num_heads };
    let queries = heads.project("query", query, key_dim);
    let keys = heads.project("key", key, key_dim);
    let values = heads.project("value", value, value_dim);

    // The variance of a product of `key_dim` numbers grows with it; the root keeps
    // softmax away from its flat ends.
    let scale = number(scope.graph(), query.dtype(), 1.0 / (key_dim as f64).sqrt());
    let transposed = MatMulOptions::default().transpose_b(true);
    // The queries are scaled rather than the scores, of which there are more: Keras's form.
    let mut scores = matmul_with(mul(queries, scale), keys, transposed);
    if let Some(mask) = mask_of(&scope, query, value, options) {
        // Masked places have almost no weight; a row without any place keeps finite numbers.
        let lowest = if scores.dtype() == DType::Float16 { -3e4 } else { -1e9 };
        let mask = cast(mask, scores.dtype());
        let one = number(scope.graph(), scores.dtype(), 1.0);
        scores = add(scores, mul(sub(one, mask), number(scope.graph(), query.dtype(), lowest)));
    }
    let mut attention = softmax(scores);
    if let Some((rate, training, seed)) = &options.dropout {
        attention = super::dropout(&attention, *rate, training.clone(), *seed);
    }
    let found = matmul(attention.within(scope.graph()), values);
    scope.leave(heads.join(&found, query, value_dim, output_size))
}

/// The parts of one layer that share its scope and options.
struct Heads<'a> {
    scope: &'a Composite,
    options: &'a LayerOptions,
    num_heads: usize,
}

impl Heads<'_> {
    /// Returns the scope of one projection, and of its variables.
    fn part(&self, name: &str) -> Composite {
        let graph = self.scope.graph();
        // In a variable scope the names of variables do not depend on how often
        // operations' names are numbered.
        match graph.variable_name("") {
            Some(_) => Composite::within(graph, graph.variable_scope(name, Reuse::No)),
            None => Composite::within(graph, graph.scope(name)),
        }
    }

    /// Projects `[batch, places, depth]` to `[batch, heads, places, size]`.
    fn project(&self, name: &str, inputs: &Output, size: usize) -> Output {
        let part = self.part(name);
        let (depth, heads) = (known_size(&part, inputs, 0), self.num_heads);
        // Keras's shape `[depth, heads, size]`, which checkpoints hold; the product takes it as a matrix.
        let kernel = self.options.kernel(&part, &[depth, heads, size], inputs);
        let flat = [depth as i64, heads.saturating_mul(size) as i64];
        let rows = reshape(part.enter(inputs), [-1, depth as i64]);
        let mut product = matmul(rows, reshape(part.enter(&kernel), flat));
        if self.options.use_bias {
            let bias = self.options.bias(&part, &[heads, size], inputs);
            product = bias_add(product, reshape(part.enter(&bias), [flat[1]]));
        }
        let apart = reshape(product, places_with(&part.enter(inputs), &[heads as i64, size as i64]));
        // `[batch, heads, places, size]`: one product per head.
        self.scope.enter(transpose(apart, [0, 2, 1, 3]))
    }

    /// Joins `[batch, heads, places, size]` and projects it to `[batch, places, output size]`.
    fn join(&self, found: &Output, query: &Output, size: usize, output_size: usize) -> Output {
        let part = self.part("attention_output");
        let (heads, width) = (self.num_heads, self.num_heads.saturating_mul(size) as i64);
        let kernel = self.options.kernel(&part, &[heads, size, output_size], query);
        let rows = reshape(transpose(part.enter(found), [0, 2, 1, 3]), [-1, width]);
        let mut product = matmul(rows, reshape(part.enter(&kernel), [width, output_size as i64]));
        if self.options.use_bias {
            product = bias_add(product, self.options.bias(&part, &[output_size], query));
        }
        reshape(product, places_with(&part.enter(query), &[output_size as i64]))
    }
}

/// Returns the sizes of batch and places, followed by others.
fn places_with(inputs: &Output, sizes: &[i64]) -> crate::Ints {
    let known = inputs.shape().sizes().unwrap_or_default();
    let leading = known.get(..2).unwrap_or_default();
    if leading.iter().filter(|&&size| size < 0).count() <= 1 {
        return crate::Ints::Vector([leading, sizes].concat());
    }
    let sizes: Vec<i32> = sizes.iter().map(|&size| i32::try_from(size).unwrap_or(i32::MAX)).collect();
    let leading = strided_slice(shape(inputs), &[Index::from(..2)]);
    concat(&[leading, constant(&inputs.graph(), sizes)], 0).into()
}

/// Returns which scores count, `[batch, 1, queries, values]` or of a shape that is broadcast to it.
fn mask_of(scope: &Composite, query: &Output, value: &Output, options: &AttentionOptions) -> Option<Output> {
    let given = options.attention_mask.as_ref().map(|mask| {
        let mask = cast(scope.enter(mask), query.dtype());
        // A mask of each example is the same for all heads.
        if mask.shape().rank() == Some(3) { crate::array::expand_dims(mask, 1) } else { mask }
    });
    let causal = options.use_causal_mask.then(|| {
        let places = |input: &Output| match input.shape().dim(1) {
            Some(places) => constant(scope.graph(), i32::try_from(places).unwrap_or(i32::MAX)),
            None => strided_slice(shape(scope.enter(input)), &[Index::At(1)]),
        };
        let square = match (query.shape().dim(1), value.shape().dim(1)) {
            (Some(queries), Some(values)) => crate::Ints::from([queries, values]),
            _ => crate::array::stack(&[places(query), places(value)], 0).into(),
        };
        matrix_band_part(ones(scope.graph(), query.dtype(), square), -1, 0)
    });
    match (given, causal) {
        (Some(given), Some(causal)) => Some(mul(given, causal)),
        (given, causal) => given.or(causal),
    }
}
