//! Initial values of variables.
//!
//! ```
//! use ops::initializers::{glorot_uniform, zeros};
//! use ops::variables::get_variable;
//! use session_core::{DType, Graph};
//!
//! let graph = Graph::new();
//! let kernel = get_variable(&graph, "kernel", [64, 10], DType::Float32, &glorot_uniform());
//! let bias = get_variable(&graph, "bias", [10], DType::Float32, &zeros());
//! assert_eq!((kernel.name(), bias.name()), ("kernel", "bias"));
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Choosing an initializer
//!
//! | initializer | values | suits |
//! | --- | --- | --- |
//! | [`glorot_uniform`], [`glorot_normal`] | variance `2 / (inputs + outputs)` | sigmoid, tanh, softmax; the default of floating-point variables |
//! | [`he_uniform`], [`he_normal`] | variance `2 / inputs` | ReLU and its relatives |
//! | [`lecun_uniform`], [`lecun_normal`] | variance `1 / inputs` | SELU |
//! | [`orthogonal_initializer`] | an orthogonal matrix | recurrent kernels |
//! | [`zeros`], [`ones`], [`constant`] | one number | biases, scales |
//! | [`identity`] | the identity matrix | residual and recurrent kernels |
//!
//! Random initializers draw from TensorFlow's streams: the same graph-level seed gives the same weights as in TensorFlow. Without any
//! seed, each session starts with other weights.

use crate::array;
use crate::array::constants::filled;
use crate::math::binary::MUL;
use crate::{math, random};
use session_core::{DType, Error, Graph, Output, Result, Shape};
use tensor::Tensor;

/// Builds the operations that compute the initial value of a variable.
///
/// Closures over the same arguments are initializers too:
///
/// ```
/// use ops::array::{constant, range};
/// use ops::variables::get_variable;
/// use session_core::{DType, Graph, Shape};
/// let ramp = |graph: &Graph, shape: &Shape, _: DType| {
///     let number = |value: usize| constant(graph, value as f32);
///     range(number(0), number(shape.dims()[0]), number(1))
/// };
/// let graph = Graph::new();
/// let w = get_variable(&graph, "w", [4], DType::Float32, &ramp); // 0, 1, 2, 3
/// assert_eq!(w.shape().to_string(), "[4]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait Initializer {
    /// Builds the initial value of a variable of this shape and dtype. Its operations belong on `graph`, whose scope is the scope of the
    /// variable. Errors, such as a dtype that the initializer does not support, are recorded in the graph.
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output;

    /// Builds the initial value of one part of a partitioned variable. `part` is the shape of the part, `_whole` that of the variable.
    ///
    /// By default the part is initialized as a separate variable. Initializers that scale by the number of inputs override the
    /// method, because the number follows from the whole.
    fn part_value(&self, graph: &Graph, _whole: &Shape, part: &Shape, dtype: DType) -> Output {
        self.initial_value(graph, part, dtype)
    }
}

impl<F: Fn(&Graph, &Shape, DType) -> Output> Initializer for F {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        self(graph, shape, dtype)
    }
}

/// Returns the default initializer, as in TensorFlow: Glorot uniform for floating-point dtypes, and zeros for
/// integers and bools. Other dtypes have none.
///
/// ```
/// use ops::initializers::default_initializer;
/// use session_core::DType;
/// assert!(default_initializer(DType::Float32).is_some());
/// assert!(default_initializer(DType::String).is_none());
/// ```
#[must_use]
pub fn default_initializer(dtype: DType) -> Option<Box<dyn Initializer>> {
    // TensorFlow's defaults; strings and others have none.
    if dtype.is_floating() {
        Some(Box::new(glorot_uniform()))
    } else if dtype.is_integer() || dtype == DType::Bool {
        Some(Box::new(zeros()))
    } else {
        None
    }
}

// ---- constants -------------------------------------------------------------------------------------------

/// Returns an initializer with zeros: 0, `false`, or empty strings.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::zeros()); // all 0.0
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn zeros() -> Filled {
    Filled { value: 0.0 }
}

/// Returns an initializer with ones.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::ones()); // all 1.0
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn ones() -> Filled {
    Filled { value: 1.0 }
}

/// Returns an initializer with one number in every element.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::constant(0.1)); // all 0.1
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn constant(value: f64) -> Filled {
    Filled { value }
}

/// Returns an initializer with the elements of a tensor in row-major order. The tensor has as many elements as the variable, and its dtype.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let values = initializers::elements([1.0f32, 2.0, 3.0, 4.0]);
/// let w = get_variable(&graph, "w", [2, 2], DType::Float32, &values); // [[1.0, 2.0], [3.0, 4.0]]
/// # let _ = w;
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn elements(values: impl Into<Tensor>) -> Elements {
    Elements { values: values.into() }
}

/// Returns an initializer with ones on the diagonal and zeros elsewhere, for variables of rank 2.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::identity().gain(0.5)); // 0.5 on the diagonal
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn identity() -> Identity {
    Identity { gain: 1.0 }
}

/// The initializer of [`zeros`], [`ones`], and [`constant`]: all elements have one value.
#[derive(Clone, Debug)]
pub struct Filled {
    value: f64,
}

impl Initializer for Filled {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        // TensorFlow's names of the constants.
        let name = match self.value {
            0.0 => "zeros",
            1.0 => "ones",
            _ => "Const",
        };
        let value = match dtype {
            // These hold no numbers; they begin with false and the empty string.
            DType::Bool | DType::String => Ok(array::scalar_tensor(dtype, self.value)),
            _ => Tensor::try_of_number(dtype, self.value),
        };
        match value {
            Ok(value) => filled(graph, name, value, shape.into()),
            Err(error) => constant_or_error(graph, Err(Error::type_mismatch(error.to_string()))),
        }
    }
}

/// The initializer of [`elements`]: the given elements, in row-major order.
#[derive(Clone, Debug)]
pub struct Elements {
    values: Tensor,
}

impl Initializer for Elements {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        let found = self.values.dtype();
        let value = if found == dtype {
            self.values.clone().reshaped(shape).map_err(Error::from)
        } else {
            Err(Error::type_mismatch(format!("{found} elements for a variable of {dtype}")))
        };
        constant_or_error(graph, value)
    }
}

/// The initializer of [`identity`]: the identity matrix times a factor.
#[derive(Clone, Debug)]
pub struct Identity {
    gain: f64,
}

impl Identity {
    /// Sets the factor of the identity matrix. Default: 1.
    #[must_use]
    pub fn gain(mut self, gain: f64) -> Identity {
        self.gain = gain;
        self
    }

    fn tensor(&self, shape: &Shape, dtype: DType) -> Result<Tensor> {
        let [rows, columns] = *shape.dims() else {
            return Err(Error::value(format!("an identity matrix has rank 2, not the shape {shape}")));
        };
        let (one, zeros) = (Tensor::try_of_number(dtype, self.gain)?, Tensor::zeros(dtype, shape)?);
        // In bytes, so that one function serves every dtype.
        let (one, mut bytes) = (one.as_bytes()?, zeros.as_bytes()?.to_vec());
        for i in 0..rows.min(columns) {
            let start = (i * columns + i) * one.len();
            bytes[start..start + one.len()].copy_from_slice(one);
        }
        Ok(Tensor::from_bytes(dtype, shape, bytes)?)
    }
}

impl Initializer for Identity {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        constant_or_error(&graph.named("eye"), self.tensor(shape, dtype))
    }
}

/// Returns the constant. On an error, records it and returns a placeholder constant.
fn constant_or_error(graph: &Graph, tensor: Result<Tensor>) -> Output {
    let tensor = tensor.unwrap_or_else(|error| {
        graph.add_error(error);
        Tensor::from(0.0f32)
    });
    array::constant(graph, tensor)
}

// ---- orthogonal ------------------------------------------------------------------------------------------

/// Returns an initializer with orthogonal matrices (Saxe et al., 2014): the orthogonal factor of a random
/// normal matrix, for variables of rank 2 or more. All axes but the last count as one, so the filters of a
/// convolution are orthogonal to each other.
/// ```
/// use ops::{initializers::orthogonal_initializer, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let initializer = orthogonal_initializer().gain(1.4);
/// let kernel = get_variable(&graph, "kernel", [64, 64], DType::Float32, &initializer);
/// # let _ = kernel;
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn orthogonal_initializer() -> Orthogonal {
    Orthogonal { gain: 1.0, seed: None }
}

/// The initializer of [`orthogonal_initializer`]: a random orthogonal matrix times a factor.
///
/// ```
/// use ops::initializers::orthogonal_initializer;
/// use ops::variables::get_variable;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let start = orthogonal_initializer().gain(1.4).seed(7);
/// let kernel = get_variable(&graph, "kernel", [16, 16], DType::Float32, &start);
/// assert_eq!(kernel.shape().to_string(), "[16,16]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Orthogonal {
    gain: f64,
    seed: Option<i64>,
}

impl Orthogonal {
    /// Sets a factor for the matrix. Default: 1.
    #[must_use]
    pub fn gain(mut self, gain: f64) -> Orthogonal {
        self.gain = gain;
        self
    }

    /// Sets the operation seed; see [`random::get_seed`].
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Orthogonal {
        self.seed = Some(seed);
        self
    }
}

impl Initializer for Orthogonal {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        let refused = |text: String| constant_or_error(graph, Err(Error::value(text)));
        // All axes but the last are flattened into the rows, as in TensorFlow.
        let (columns, rows) = match shape.dims() {
            [rows @ .., columns] if !rows.is_empty() => (*columns, Shape::new(rows)),
            _ => {
                return refused(format!("an orthogonal variable has rank 2 or more, not the shape {shape}"));
            }
        };
        let Some(rows) = rows.checked_elements() else {
            return refused(format!(
                "an orthogonal variable of shape {shape} has more elements than memory can hold"
            ));
        };
        // The factorization gives orthogonal columns, so a wide matrix is built transposed.
        let wide = rows < columns;
        let flat = if wide { Shape::from([columns, rows]) } else { Shape::from([rows, columns]) };
        let drawn = random::random_normal(graph, &flat, 0.0, 1.0, dtype, self.seed);
        let (q, r) = math::qr(&drawn);
        // With the signs of the diagonal undone, no orthogonal matrix is likelier than another.
        let signs = math::sign(array::tensor_diag_part(r));
        let q = graph.op(&MUL).default_name("mul").input(q).input(signs).finish_output();
        let q = if wide { array::matrix_transpose(&q) } else { q };
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let shaped = array::reshape(q, sizes);
        // A constant without a name of its own, as TensorFlow's graph has it.
        let gain = array::scalar_tensor(dtype, self.gain);
        graph.op(&MUL).default_name("mul").constant(gain).input(shaped).finish_output()
    }
}

// ---- random ----------------------------------------------------------------------------------------------

/// Returns an initializer with numbers drawn uniformly from `[minval, maxval)`.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::random_uniform(-0.1, 0.1).seed(7)); // between -0.1 and 0.1
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn random_uniform(minval: f64, maxval: f64) -> Random {
    Random { distribution: Sampled::Uniform(minval, maxval), seed: None }
}

/// Returns an initializer with normal numbers of this mean and standard deviation.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::random_normal(0.0, 0.02)); // normal, standard deviation 0.02
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn random_normal(mean: f64, stddev: f64) -> Random {
    Random { distribution: Sampled::Normal(mean, stddev), seed: None }
}

/// Returns an initializer with truncated normal numbers: numbers more than two standard deviations from the
/// mean are redrawn.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::truncated_normal(0.0, 0.02)); // at most 0.04 from 0
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn truncated_normal(mean: f64, stddev: f64) -> Random {
    Random { distribution: Sampled::TruncatedNormal(mean, stddev), seed: None }
}

/// The initializer of [`random_uniform`], [`random_normal`], and [`truncated_normal`]: independent random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    distribution: Sampled,
    seed: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Sampled {
    Uniform(f64, f64),
    Normal(f64, f64),
    TruncatedNormal(f64, f64),
}

impl Random {
    /// Sets the operation seed; see [`random::get_seed`].
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Random {
        self.seed = Some(seed);
        self
    }
}

impl Initializer for Random {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        self.distribution.sample(graph, shape, dtype, self.seed)
    }
}

impl Sampled {
    fn sample(self, graph: &Graph, shape: &Shape, dtype: DType, seed: Option<i64>) -> Output {
        match self {
            Sampled::Uniform(low, high) => random::random_uniform(graph, shape, low, high, dtype, seed),
            Sampled::Normal(mean, stddev) => random::random_normal(graph, shape, mean, stddev, dtype, seed),
            Sampled::TruncatedNormal(mean, stddev) => {
                random::truncated_normal(graph, shape, mean, stddev, dtype, seed)
            }
        }
    }
}

// ---- scaled by the number of inputs ----------------------------------------------------------------------

/// The number of connections of a unit, by which [`variance_scaling`] divides the variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The number of inputs to each unit.
    In,
    /// The number of outputs of each unit.
    Out,
    /// The mean of both.
    Average,
}

/// The distribution from which [`variance_scaling`] draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// A normal distribution, truncated at two standard deviations and rescaled so that the result has the requested variance.
    TruncatedNormal,
    /// A normal distribution.
    UntruncatedNormal,
    /// A uniform distribution.
    Uniform,
}

/// Returns an initializer with mean 0 and variance `scale / fan`, which preserves the magnitude of signals from layer to layer.
///
/// The fans of a shape are its last two sizes, each times the product of the sizes before them (the receptive field of a convolution).
/// For a vector both are its size.
///
/// ```
/// use ops::initializers::{Distribution, Fan, variance_scaling};
/// # use ops::variables::get_variable;
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let initializer = variance_scaling(2.0, Fan::Out, Distribution::TruncatedNormal);
/// let kernel = get_variable(&graph, "kernel", [3, 3, 16, 32], DType::Float32, &initializer); // variance 2 / (9 * 32)
/// # let _ = kernel;
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn variance_scaling(scale: f64, fan: Fan, distribution: Distribution) -> VarianceScaling {
    VarianceScaling { scale, fan, distribution, seed: None }
}

/// Returns the Glorot (Xavier) uniform initializer, TensorFlow's default, with limits of `sqrt(6 / (fan_in +
/// fan_out))`.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::glorot_uniform()); // between -1 and 1: sqrt(6 / (3 + 3))
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn glorot_uniform() -> VarianceScaling {
    variance_scaling(1.0, Fan::Average, Distribution::Uniform)
}

/// Returns the Glorot (Xavier) normal initializer: a truncated normal distribution with variance `2 / (inputs + outputs)`.
///
/// ```
/// use ops::{initializers::glorot_normal, variables::get_variable};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let kernel = get_variable(&graph, "kernel", [64, 10], DType::Float32, &glorot_normal().seed(1));
/// # assert_eq!(kernel.name(), "kernel");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn glorot_normal() -> VarianceScaling {
    variance_scaling(1.0, Fan::Average, Distribution::TruncatedNormal)
}

/// Returns the He uniform initializer, for rectified linear units: a uniform distribution with variance `2 / inputs`.
///
/// ```
/// use ops::{initializers::he_uniform, variables::get_variable};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let kernel = get_variable(&graph, "kernel", [3, 3, 1, 8], DType::Float32, &he_uniform());
/// # assert_eq!(kernel.name(), "kernel");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn he_uniform() -> VarianceScaling {
    variance_scaling(2.0, Fan::In, Distribution::Uniform)
}

/// Returns the He normal initializer, for rectified linear units.
///
/// ```
/// # use ops::{initializers, variables::get_variable};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let w = get_variable(&graph, "w", [3, 3], DType::Float32, &initializers::he_normal()); // variance 2 / 3
/// assert_eq!(w.shape().to_string(), "[3,3]");
/// ```
#[must_use]
pub fn he_normal() -> VarianceScaling {
    variance_scaling(2.0, Fan::In, Distribution::TruncatedNormal)
}

/// Returns the LeCun uniform initializer: a uniform distribution with variance `1 / inputs`.
#[must_use]
pub fn lecun_uniform() -> VarianceScaling {
    variance_scaling(1.0, Fan::In, Distribution::Uniform)
}

/// Returns the LeCun normal initializer, for SELU: a truncated normal distribution with variance `1 / inputs`.
#[must_use]
pub fn lecun_normal() -> VarianceScaling {
    variance_scaling(1.0, Fan::In, Distribution::TruncatedNormal)
}

/// Returns an initializer with uniform numbers between `-factor * sqrt(3 / inputs)` and `factor * sqrt(3 / inputs)`. All dimensions but
/// the last count as inputs. Signals keep their magnitude through layers without an activation.
///
/// ```
/// use ops::{initializers::uniform_unit_scaling, variables::get_variable};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let kernel = get_variable(&graph, "kernel", [64, 10], DType::Float32, &uniform_unit_scaling(1.0));
/// # assert_eq!(kernel.name(), "kernel");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
pub fn uniform_unit_scaling(factor: f64) -> UniformUnitScaling {
    UniformUnitScaling { factor, seed: None }
}

/// The initializer of [`uniform_unit_scaling`].
#[derive(Clone, Debug)]
pub struct UniformUnitScaling {
    factor: f64,
    seed: Option<i64>,
}

impl UniformUnitScaling {
    /// Sets the operation seed; see [`random::get_seed`].
    #[must_use]
    pub fn seed(mut self, seed: i64) -> UniformUnitScaling {
        self.seed = Some(seed);
        self
    }

    fn sampled(&self, shape: &Shape) -> Sampled {
        let leading = shape.dims().split_last().map_or(&[][..], |(_, leading)| leading);
        let inputs: f64 = leading.iter().map(|&size| size as f64).product();
        let limit = self.factor * (3.0 / inputs.max(1.0)).sqrt();
        Sampled::Uniform(-limit, limit)
    }
}

impl Initializer for UniformUnitScaling {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        self.sampled(shape).sample(graph, shape, dtype, self.seed)
    }

    fn part_value(&self, graph: &Graph, whole: &Shape, part: &Shape, dtype: DType) -> Output {
        self.sampled(whole).sample(graph, part, dtype, self.seed)
    }
}

/// The initializer of [`variance_scaling`] and of the Glorot, He, and LeCun initializers.
#[derive(Clone, Debug)]
pub struct VarianceScaling {
    scale: f64,
    fan: Fan,
    distribution: Distribution,
    seed: Option<i64>,
}

/// The standard deviation of a standard normal distribution cut at -2 and 2.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

impl VarianceScaling {
    /// Sets the operation seed; see [`random::get_seed`].
    #[must_use]
    pub fn seed(mut self, seed: i64) -> VarianceScaling {
        self.seed = Some(seed);
        self
    }

    fn sampled(&self, shape: &Shape) -> Sampled {
        let (inputs, outputs) = fans(shape.dims());
        let fan = match self.fan {
            Fan::In => inputs,
            Fan::Out => outputs,
            Fan::Average => (inputs + outputs) / 2.0,
        };
        let variance = self.scale / fan.max(1.0);
        match self.distribution {
            Distribution::TruncatedNormal => {
                Sampled::TruncatedNormal(0.0, variance.sqrt() / TRUNCATED_STDDEV)
            }
            Distribution::UntruncatedNormal => Sampled::Normal(0.0, variance.sqrt()),
            Distribution::Uniform => {
                let limit = (3.0 * variance).sqrt();
                Sampled::Uniform(-limit, limit)
            }
        }
    }
}

fn fans(dims: &[usize]) -> (f64, f64) {
    match *dims {
        [] => (1.0, 1.0),
        [size] => (size as f64, size as f64),
        [ref field @ .., inputs, outputs] => {
            let field: f64 = field.iter().map(|&size| size as f64).product();
            (inputs as f64 * field, outputs as f64 * field)
        }
    }
}

impl Initializer for VarianceScaling {
    fn initial_value(&self, graph: &Graph, shape: &Shape, dtype: DType) -> Output {
        self.sampled(shape).sample(graph, shape, dtype, self.seed)
    }

    fn part_value(&self, graph: &Graph, whole: &Shape, part: &Shape, dtype: DType) -> Output {
        self.sampled(whole).sample(graph, part, dtype, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_tensorflows() {
        let limit =
            |initializer: VarianceScaling, dims: &[usize]| match initializer.sampled(&Shape::new(dims)) {
                Sampled::Uniform(_, high) => high as f32,
                Sampled::Normal(_, stddev) | Sampled::TruncatedNormal(_, stddev) => stddev as f32,
            };
        // Read from the graphs that TensorFlow 2.21 makes.
        assert_eq!(limit(glorot_uniform(), &[4, 3]), 0.925_820_1);
        assert_eq!(limit(glorot_normal(), &[4, 3]), 0.607_670_43);
        assert_eq!(limit(he_normal(), &[4, 3]), 0.803_872_4);
        assert_eq!(limit(he_uniform(), &[4, 3]), 1.224_744_9);
        assert_eq!(limit(lecun_normal(), &[4, 3]), 0.568_423_63);
        assert_eq!(limit(lecun_uniform(), &[4, 3]), 0.866_025_4);
        let untruncated = variance_scaling(1.0, Fan::Out, Distribution::UntruncatedNormal);
        assert_eq!(limit(untruncated, &[4, 3]), 0.577_350_26);
        let convolution = variance_scaling(2.0, Fan::Average, Distribution::Uniform);
        assert_eq!(limit(convolution, &[3, 3, 2, 5]), 0.436_435_78);
        assert_eq!(limit(glorot_uniform(), &[7]), 0.654_653_67);
        assert_eq!(limit(glorot_uniform(), &[]), 1.732_050_8);
    }
}
