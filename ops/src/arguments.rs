//! Arguments that are given as numbers or computed by the graph.

use session_core::{AsOutput, AttrValue, OpBuilder, Operation, Output, PartialShape, Shape, Variable};
use std::ops::RangeFull;
use tensor::Tensor;

/// Integers for an operation: a shape, axes, or sizes.
///
/// Numbers (`2`, `[2, -1]`, a `Vec`, a slice, a [`Shape`]) become a constant that is named after the operation, `int32` unless a number
/// needs more bits. An output is computed when the graph runs.
///
/// ```
/// use ops::array::{placeholder, reshape, shape};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [2, 6]);
/// assert_eq!(reshape(&x, [3, -1]).shape().to_string(), "[3,4]");
/// assert_eq!(reshape(&x, shape(&x)).shape().to_string(), "[2,6]");
/// ```
#[derive(Clone, Debug)]
pub enum Ints {
    /// One number.
    Scalar(i64),
    /// A list of numbers.
    Vector(Vec<i64>),
    /// Computed when the graph runs.
    Computed(Output),
}

impl Ints {
    /// Returns the numbers if they are constants or follow from known shapes.
    #[must_use]
    pub fn known(&self) -> Option<Vec<i64>> {
        match self {
            Ints::Scalar(value) => Some(vec![*value]),
            Ints::Vector(values) => Some(values.clone()),
            Ints::Computed(output) => crate::static_value::ints(output),
        }
    }

    /// Adds the argument as the next input of an operation.
    pub(crate) fn input_of(self, builder: OpBuilder) -> OpBuilder {
        match self {
            Ints::Scalar(value) => builder.constant(match i32::try_from(value) {
                Ok(value) => Tensor::from(value),
                Err(_) => Tensor::from(value),
            }),
            Ints::Vector(values) => builder.constant(vector(&values)),
            Ints::Computed(output) => builder.input(output),
        }
    }
}

/// Returns the numbers as a vector of `int32`, or of `int64` when one needs it.
pub(crate) fn vector(values: &[i64]) -> Tensor {
    let small: Result<Vec<i32>, _> = values.iter().map(|&value| i32::try_from(value)).collect();
    small.map_or_else(|_| Tensor::from(values), Tensor::from)
}

/// Returns the numbers as a matrix of `int32`, or of `int64` when one needs it.
pub(crate) fn matrix<const N: usize>(rows: &[[i64; N]]) -> Tensor {
    let shape = [rows.len(), N];
    vector(rows.as_flattened()).reshaped(shape).expect("as many elements as the rows have")
}

macro_rules! from_integers {
    ($($type:ty => |$value:ident| $convert:expr),*) => {$(
        impl From<$type> for Ints {
            fn from($value: $type) -> Ints {
                Ints::Scalar($convert)
            }
        }
        impl<const N: usize> From<[$type; N]> for Ints {
            fn from(values: [$type; N]) -> Ints {
                Ints::from(values.as_slice())
            }
        }
        impl<const N: usize> From<&[$type; N]> for Ints {
            fn from(values: &[$type; N]) -> Ints {
                Ints::from(values.as_slice())
            }
        }
        impl From<Vec<$type>> for Ints {
            fn from(values: Vec<$type>) -> Ints {
                Ints::from(values.as_slice())
            }
        }
        impl From<&[$type]> for Ints {
            fn from(values: &[$type]) -> Ints {
                Ints::Vector(values.iter().map(|&$value| $convert).collect())
            }
        }
    )*};
}

// Sizes beyond `i64::MAX` do not exist in memory.
from_integers!(i32 => |value| value.into(), i64 => |value| value, usize => |value| i64::try_from(value).unwrap_or(i64::MAX));

impl From<&Shape> for Ints {
    fn from(shape: &Shape) -> Ints {
        Ints::from(shape.dims())
    }
}

impl From<Shape> for Ints {
    fn from(shape: Shape) -> Ints {
        Ints::from(shape.dims())
    }
}

impl From<Output> for Ints {
    fn from(output: Output) -> Ints {
        Ints::Computed(output)
    }
}

impl From<&Output> for Ints {
    fn from(output: &Output) -> Ints {
        Ints::Computed(output.clone())
    }
}

impl From<&Variable> for Ints {
    fn from(variable: &Variable) -> Ints {
        Ints::Computed(variable.as_output().clone())
    }
}

/// The axes of an operation: `..` for all axes, or [`Ints`], of which negative ones count from the end.
///
/// ```
/// use ops::{array::placeholder, math::reduce_sum};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [2, 3, 4]);
/// assert_eq!(reduce_sum(&x, ..).shape().to_string(), "[]");
/// assert_eq!(reduce_sum(&x, -1).shape().to_string(), "[2,3]");
/// assert_eq!(reduce_sum(&x, [0, 2]).shape().to_string(), "[3]");
/// ```
#[derive(Clone, Debug)]
pub enum Axes {
    /// All axes.
    All,
    /// A list of axes.
    Listed(Ints),
}

impl Axes {
    /// Returns the axes as integers. `of` is the shape of the tensor that has the axes.
    pub(crate) fn into_ints(self, of: &PartialShape) -> Option<Ints> {
        match self {
            Axes::Listed(axes) => Some(axes),
            Axes::All => Some(Ints::from((0..of.rank()?).collect::<Vec<usize>>())),
        }
    }
}

/// The axes of a reduction, and whether the result keeps them with size 1.
///
/// All [`Axes`] convert to it and are removed from the result, as with TensorFlow's `keepdims=False`; [`keep_dims`] keeps them.
///
/// ```
/// use ops::{array::placeholder, keep_dims, math::reduce_max};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [2, 3]);
/// assert_eq!(reduce_max(&x, 1).shape().to_string(), "[2]");
/// assert_eq!(reduce_max(&x, keep_dims(1)).shape().to_string(), "[2,1]");
/// ```
#[derive(Clone, Debug)]
pub struct ReductionAxes {
    pub(crate) axes: Axes,
    pub(crate) keep_dims: bool,
}

impl<T: Into<Axes>> From<T> for ReductionAxes {
    fn from(axes: T) -> ReductionAxes {
        ReductionAxes { axes: axes.into(), keep_dims: false }
    }
}

/// Keeps the axes of a reduction in its result, with size 1: TensorFlow's `keepdims=True`.
///
/// ```
/// use ops::{array, keep_dims, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::reduce_sum(&x, 1).shape().to_string(), "[2]");
/// assert_eq!(math::reduce_sum(&x, keep_dims(1)).shape().to_string(), "[2,1]");
/// assert_eq!(math::reduce_mean(&x, keep_dims(..)).shape().to_string(), "[1,1]");
/// ```
#[must_use]
pub fn keep_dims(axes: impl Into<Axes>) -> ReductionAxes {
    ReductionAxes { axes: axes.into(), keep_dims: true }
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Axes {
        Axes::All
    }
}

impl<T: Into<Ints>> From<T> for Axes {
    fn from(axes: T) -> Axes {
        Axes::Listed(axes.into())
    }
}

/// Returns the attribute `_class` of operations that are placed with another one.
pub(crate) fn location_of(operation: &Operation) -> AttrValue {
    AttrValue::List(vec![AttrValue::from(format!("loc:@{}", operation.name()).as_str())])
}
