//! Samples of operations: small graphs with values to run them on.
//!
//! Behind the feature `conformance`. Engines run every sample against TensorFlow and hold every gradient against
//! finite differences; this crate holds shapes against TensorFlow's. One table serves all, so an operation that is
//! added gets all of these tests with one row.

mod array;
mod image;
mod linear;
mod math;
mod nn;
mod rnn;
mod sparse;

use crate::array::{constant, placeholder};
use crate::library::LIBRARY;
use session_core::{DType, Graph, OpBuilder, OpLibrary, Output, PartialShape};
use tensor::{Element, Tensor};

/// The extent to which the shapes of a sample's placeholders are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Everything.
    Shapes,
    /// The rank only.
    Ranks,
    /// Nothing.
    Nothing,
}

/// One small graph.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The name of the sample, unique in the table. Starts with the op type.
    pub name: &'static str,
    build: fn(&mut Inputs<'_>) -> Vec<Output>,
    /// The minimum knowledge of shapes that is required; less is an error.
    needs: Known,
    /// True if the gradients are right: those of some operations are so only where TensorFlow's are.
    checked: bool,
}

/// A sample in a graph.
#[derive(Clone, Debug)]
pub struct Built {
    /// The placeholders with respect to which to differentiate, all floating.
    pub inputs: Vec<(Output, Tensor)>,
    /// The placeholders of numbers that are not differentiated, such as indices.
    pub others: Vec<(Output, Tensor)>,
    /// The results. Those that are floating depend on all inputs.
    pub outputs: Vec<Output>,
}

impl Sample {
    const fn new(name: &'static str, build: fn(&mut Inputs<'_>) -> Vec<Output>) -> Sample {
        Sample { name, build, needs: Known::Nothing, checked: true }
    }

    /// Sets the same, which cannot be built when less is known.
    const fn needing(mut self, needs: Known) -> Sample {
        self.needs = needs;
        self
    }

    /// Sets the same, whose gradients are not those that finite differences give.
    const fn not_numerical(mut self) -> Sample {
        self.checked = false;
        self
    }

    /// Returns the op type it is a sample of.
    #[must_use]
    pub fn op_type(&self) -> &'static str {
        self.name.split_once(' ').map_or(self.name, |(op_type, _)| op_type)
    }

    /// Returns true if the sample can be built with this knowledge of the placeholders' shapes.
    #[must_use]
    pub fn builds_with(&self, known: Known) -> bool {
        // The variants are declared from the most to the least knowledge, which the comparison relies on.
        known as u8 <= self.needs as u8
    }

    /// Returns true if finite differences give its gradients. They do not where a value is only used for its sign, or stands
    /// for one that the operation computes itself.
    #[must_use]
    pub fn is_numerical(&self) -> bool {
        self.checked
    }

    /// Builds it.
    #[must_use]
    pub fn build(&self, graph: &Graph, known: Known) -> Built {
        self.build_from(graph, known, None)
    }

    /// Builds it incorrectly: one of its placeholders, counted from 0, belongs to another graph.
    #[must_use]
    pub fn build_across(&self, graph: &Graph, other: &Graph, number: usize) -> Built {
        self.build_from(graph, Known::Shapes, Some((other, number)))
    }

    fn build_from(&self, graph: &Graph, known: Known, foreign: Option<(&Graph, usize)>) -> Built {
        let mut inputs = Inputs { graph, foreign, known, inputs: Vec::new(), others: Vec::new(), seed: 0.0 };
        let outputs = (self.build)(&mut inputs);
        Built { inputs: inputs.inputs, others: inputs.others, outputs }
    }
}

/// Returns all samples.
#[must_use]
pub fn samples() -> Vec<Sample> {
    [
        array::SAMPLES,
        image::SAMPLES,
        math::SAMPLES,
        linear::SAMPLES,
        nn::SAMPLES,
        rnn::SAMPLES,
        sparse::SAMPLES,
    ]
    .concat()
    .concat()
}

/// Makes the placeholders of one sample.
struct Inputs<'a> {
    graph: &'a Graph,
    /// Another graph, and the number of the placeholder that is created there.
    foreign: Option<(&'a Graph, usize)>,
    known: Known,
    inputs: Vec<(Output, Tensor)>,
    others: Vec<(Output, Tensor)>,
    /// Moves on with each list of numbers, so that no two inputs of a sample are equal.
    seed: f64,
}

/// The golden ratio: its multiples spread evenly over the unit interval, so that no two numbers come close.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

impl Inputs<'_> {
    /// Returns a placeholder for a tensor, whose shape is known as far as the test wants it to be.
    fn placeholder(&self, kind: &str, index: usize, tensor: &Tensor) -> Output {
        let shape = match self.known {
            Known::Shapes => tensor.shape().into(),
            Known::Ranks => PartialShape::of_rank(tensor.shape().len()),
            Known::Nothing => PartialShape::unknown(),
        };
        // Counted over both kinds, which is how tests name the placeholder that is to be foreign.
        let number = self.inputs.len() + self.others.len();
        let graph = match self.foreign {
            Some((other, foreign)) if foreign == number => other,
            _ => self.graph,
        };
        placeholder(&graph.named(&format!("{kind}_{index}")), tensor.dtype(), shape)
    }

    /// Returns a placeholder to differentiate with respect to.
    fn given(&mut self, tensor: impl Into<Tensor>) -> Output {
        let tensor = tensor.into();
        let output = self.placeholder("input", self.inputs.len(), &tensor);
        self.inputs.push((output.clone(), tensor));
        output
    }

    /// Returns a placeholder that is not differentiated.
    fn other(&mut self, tensor: impl Into<Tensor>) -> Output {
        let tensor = tensor.into();
        let output = self.placeholder("other", self.others.len(), &tensor);
        self.others.push((output.clone(), tensor));
        output
    }

    /// Numbers between two limits in no order, no two close to each other.
    fn numbers(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        // Without a generator of random numbers, a failure has the same values in every run.
        self.seed += 0.137;
        let place = |index: usize| (self.seed + GOLDEN * (index + 1) as f64).fract();
        (0..count).map(|index| low + (high - low) * place(index)).collect()
    }

    /// Doubles between two limits.
    fn between(&mut self, low: f64, high: f64, shape: &[usize]) -> Output {
        let values = self.numbers(shape.iter().product(), low, high);
        self.given(shaped(values, shape))
    }

    /// Doubles between -1 and 1, none of them near 0.
    fn doubles(&mut self, shape: &[usize]) -> Output {
        let values = self.numbers(shape.iter().product(), -1.0, 1.0);
        // Functions with a kink at 0 have no derivative there, and differences across it would be wrong.
        let away = |x: f64| if x.abs() < 0.05 { x + 0.1 } else { x };
        self.given(shaped(values.into_iter().map(away).collect(), shape))
    }

    /// Single-precision numbers between -1 and 1, for operations that take no doubles.
    fn singles(&mut self, shape: &[usize]) -> Output {
        let values = self.numbers(shape.iter().product(), -1.0, 1.0);
        self.given(shaped(values.into_iter().map(|x| x as f32).collect(), shape))
    }

    /// Returns a constant.
    fn constant(&self, value: impl Into<Tensor>) -> Output {
        constant(self.graph, value)
    }

    /// Returns an operation for which there is no constructor.
    fn op(&self, op_type: &str) -> OpBuilder {
        let def = LIBRARY.find(op_type);
        def.map_or_else(|| self.graph.undefined_op(op_type), |def| self.graph.op(def))
    }
}

/// Elements under a shape.
fn shaped<T: Element>(values: Vec<T>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape).expect("a sample has as many values as its shape")
}

/// Returns true if gradients flow through a dtype.
#[must_use]
pub fn is_differentiable(dtype: DType) -> bool {
    dtype.is_floating() || dtype.is_complex()
}
