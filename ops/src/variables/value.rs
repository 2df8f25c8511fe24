//! Values that initialize variables or are assigned to them.

use crate::array::constant;
use session_core::{AsOutput, DType, Error, Graph, Output, Result, Variable};
use tensor::{Complex, Tensor, bf16, f16};

/// A value from the program, or one that the graph computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor, which becomes a constant of the graph.
    Tensor(Tensor),
    /// The value of this output.
    Output(Output),
}

impl Value {
    /// Returns the value as an output: a constant that is named by the handle, or the output itself.
    #[must_use]
    #[track_caller]
    pub fn to_output(&self, graph: &Graph) -> Output {
        match self {
            Value::Tensor(tensor) => constant(graph, tensor.clone()),
            Value::Output(output) => output.clone(),
        }
    }

    /// Converts a single number to the dtype of what it is for, so that `1.0` can be added to a variable of any floating
    /// dtype, and `1` to one of any numbers. Everything else keeps its dtype.
    ///
    /// # Errors
    /// A type error for a number that the dtype cannot hold.
    pub(crate) fn for_dtype(self, dtype: DType) -> Result<Value> {
        match &self {
            Value::Tensor(tensor) if tensor.shape().rank() == 0 => self.all_for_dtype(dtype),
            _ => Ok(self),
        }
    }

    /// Works as [`for_dtype`](Value::for_dtype), lists of numbers included.
    pub(crate) fn all_for_dtype(self, dtype: DType) -> Result<Value> {
        let Value::Tensor(tensor) = &self else { return Ok(self) };
        let found = tensor.dtype();
        let inexact = |dtype: DType| dtype.is_floating() || dtype.is_complex();
        // An integer becomes any number and a floating number any floating or complex one, but no integer:
        // that would lose its fraction.
        let converts = found != dtype
            && (found.is_integer() && (dtype.is_integer() || inexact(dtype))
                || inexact(found) && inexact(dtype));
        if !converts {
            return Ok(self);
        }
        tensor.try_convert(dtype).map(Value::Tensor).map_err(|error| Error::type_mismatch(error.to_string()))
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Tensor(tensor)
    }
}

impl From<&Tensor> for Value {
    fn from(tensor: &Tensor) -> Value {
        Value::Tensor(tensor.clone())
    }
}

impl From<Output> for Value {
    fn from(output: Output) -> Value {
        Value::Output(output)
    }
}

impl From<&Output> for Value {
    fn from(output: &Output) -> Value {
        Value::Output(output.clone())
    }
}

impl From<&Variable> for Value {
    fn from(variable: &Variable) -> Value {
        Value::Output(variable.as_output().clone())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Tensor(Tensor::from(text))
    }
}

/// One by one: rules for all elements would overlap with each other and with the rule for tensors.
macro_rules! from_elements {
    ($($type:ty),*) => {$(
        from_elements!(@one () $type);
        from_elements!(@one () Vec<$type>);
        from_elements!(@one (const N: usize) [$type; N]);
        from_elements!(@one (const N: usize, const M: usize) [[$type; N]; M]);
    )*};
    (@one ($($parameter:tt)*) $type:ty) => {
        impl<$($parameter)*> From<$type> for Value {
            fn from(value: $type) -> Value {
                Value::Tensor(Tensor::from(value))
            }
        }
    };
}

from_elements!(f32, f64, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64, bool, Complex<f32>, Complex<f64>);
