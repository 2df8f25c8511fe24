//! Arithmetic operators on outputs and variables: `a + b`, `x * 2`, `2.0 * x`, `a % b`, `-x`.
//!
//! The definitions come from the op library of the operand's operation, so this crate defines no op types.
//!
//! A number takes the dtype of the tensor operand. If the dtype cannot represent the number, that is a build
//! error; the number is never rounded to an integer or clamped to a range. The right operand may be any type
//! of number. The left operand may be `f64` or `i32`, the types of literals without a suffix, or a type that no such
//! literal has: `f16`, `bf16` and complex numbers. With `f32` or `i64` as well, the compiler could not infer the type of
//! `2.0 * &x` before the end of the function, and `(2.0 * &x).sqrt()` would not compile (E0282). Write `&x * rate` or
//! `f64::from(rate) * &x` for numbers of these types.

use crate::{AsOutput, AttrValue, Error, OpDef, OpLibrary, Output, Variable};
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::panic::Location;
use tensor::{Complex, DType, Number, Tensor, bf16, f16};

/// A type of number that operators accept as the right operand: `x * 2`, `x + 0.5f32`.
///
/// ```
/// use session_core::{Number, ToNumber};
/// assert_eq!(2u8.to_number(), Number::Int(2));
/// ```
pub trait ToNumber {
    /// Returns the exact number.
    fn to_number(self) -> Number;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl ToNumber for $type {
            fn to_number(self) -> Number {
                self.into()
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f16, bf16, f32, f64, Complex<f32>, Complex<f64>);

/// Finds an op type in the library of an operand.
fn find(operand: &Output, op_type: &str) -> Option<&'static OpDef> {
    let library: &'static dyn OpLibrary = operand.operation().def()?.op_library()?;
    library.find(op_type)
}

/// Creates an operation of this type in the scope of the operand.
#[track_caller]
fn make(op_type: &str, operands: &[&Output]) -> Output {
    let first = operands[0];
    let graph = first.graph();
    // An operand that could not be created may belong to no library; the operation then inherits its error.
    // Any operand will do: an imported one of an unknown type has no library.
    let builder = match operands.iter().find_map(|operand| find(operand, op_type)) {
        Some(def) => graph.op(def),
        None => return unknown(first, op_type),
    };
    operands.iter().fold(builder, |builder, operand| builder.input(*operand)).finish_output()
}

#[track_caller]
fn unknown(operand: &Output, op_type: &str) -> Output {
    let (graph, op) = (operand.graph(), operand.operation());
    let error = op.error().cloned().unwrap_or_else(|| {
        let text = format!("the library of '{}' ({}) does not define {op_type}", op.name(), op.op_type());
        let error = Error::runtime(text).with_location(Location::caller());
        // Recorded here because nothing was created that could carry the error to the graph.
        graph.add_error(error.clone());
        error
    });
    graph.invalid_output(op_type, operand.dtype(), error)
}

/// Creates a constant of the operand's dtype. A pending name of the operand's handle applies to the binary
/// operation instead.
#[track_caller]
fn constant(like: &Output, value: Number) -> Output {
    let around = like.graph();
    // The same scope reopened: the handle without the pending name, which is for the operation and not for
    // its constant.
    let graph = around.scope(around.scope_name());
    let Some(def) = find(like, "Const") else { return unknown(like, "Const") };
    // A number that does not fit, such as 0.5 for an integer, is never rounded silently.
    match Tensor::try_of_number(like.dtype(), value) {
        Ok(tensor) => {
            let dtype = AttrValue::Type(tensor.dtype());
            graph.op(def).attr("value", tensor).attr("dtype", dtype).finish_output()
        }
        Err(error) => {
            let text = format!(
                "{value} cannot be combined with '{}': {error}; cast the tensor first, or give a number of its dtype",
                like.name()
            );
            graph.invalid_output("Const", like.dtype(), Error::type_mismatch(text))
        }
    }
}

/// Returns the dtype of the quotient of two integers, or `None` for other dtypes. As in TensorFlow, the
/// smaller integers yield `float32`.
fn quotient_dtype(dtype: DType) -> Option<DType> {
    match dtype {
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Some(DType::Float32),
        DType::Int32 | DType::UInt32 | DType::Int64 | DType::UInt64 => Some(DType::Float64),
        _ => None,
    }
}

/// Divides, after converting integers to floating point. (TensorFlow has no `RealDiv` kernel for integers.)
#[track_caller]
fn quotient(x: &Output, y: &Output) -> Output {
    let Some(dtype) = quotient_dtype(x.dtype()).filter(|_| x.dtype() == y.dtype()) else {
        return make("RealDiv", &[x, y]);
    };
    let Some(cast) = find(x, "Cast") else { return unknown(x, "Cast") };
    let around = x.graph();
    let scope = around.composite("truediv").located_at(Location::caller());
    let floating = |operand: &Output| scope.op(cast).input(operand).attr("DstT", dtype).finish_output();
    let (x, y) = (floating(x), floating(y));
    // The division gets the name of the scope, as in TensorFlow, and its users continue in the scope around
    // it.
    make("RealDiv", &[&x.within(&scope.named_as_scope()), &y]).within(&around.scope(around.scope_name()))
}

macro_rules! binary {
    ($($trait:ident $method:ident |$x:ident, $y:ident| $make:expr;)*) => {$(
        binary!(@pair $trait $method |$x, $y| $make; Output, Output);
        binary!(@pair $trait $method |$x, $y| $make; Output, &Output);
        binary!(@pair $trait $method |$x, $y| $make; &Output, Output);
        binary!(@pair $trait $method |$x, $y| $make; &Output, &Output);
        binary!(@pair $trait $method |$x, $y| $make; Output, &Variable);
        binary!(@pair $trait $method |$x, $y| $make; &Output, &Variable);
        binary!(@pair $trait $method |$x, $y| $make; &Variable, Output);
        binary!(@pair $trait $method |$x, $y| $make; &Variable, &Output);
        binary!(@pair $trait $method |$x, $y| $make; &Variable, &Variable);
        binary!(@number $trait $method |$x, $y| $make; Output);
        binary!(@number $trait $method |$x, $y| $make; &Output);
        binary!(@number $trait $method |$x, $y| $make; &Variable);
        binary!(@left $trait $method |$x, $y| $make; f64: Output, &Output, &Variable);
        binary!(@left $trait $method |$x, $y| $make; i32: Output, &Output, &Variable);
        binary!(@left $trait $method |$x, $y| $make; f16: Output, &Output, &Variable);
        binary!(@left $trait $method |$x, $y| $make; bf16: Output, &Output, &Variable);
        binary!(@left $trait $method |$x, $y| $make; Complex<f32>: Output, &Output, &Variable);
        binary!(@left $trait $method |$x, $y| $make; Complex<f64>: Output, &Output, &Variable);
    )*};
    (@pair $trait:ident $method:ident |$x:ident, $y:ident| $make:expr; $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: $right) -> Output {
                let ($x, $y) = (self.as_output(), other.as_output());
                $make
            }
        }
    };
    (@number $trait:ident $method:ident |$x:ident, $y:ident| $make:expr; $operand:ty) => {
        impl<N: ToNumber> $trait<N> for $operand {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: N) -> Output {
                let $x = self.as_output();
                let $y = &constant($x, other.to_number());
                $make
            }
        }
    };
    (@left $trait:ident $method:ident |$x:ident, $y:ident| $make:expr; $number:ty: $($operand:ty),*) => {$(
        impl $trait<$operand> for $number {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: $operand) -> Output {
                let $y = other.as_output();
                // The handle of the tensor decides about scope and name, so the constant takes it over.
                let $x = &constant($y, self.to_number()).within(&$y.graph());
                $make
            }
        }
    )*};
}

binary! {
    Add add |x, y| make("AddV2", &[x, y]);
    Sub sub |x, y| make("Sub", &[x, y]);
    Mul mul |x, y| make("Mul", &[x, y]);
    Div div |x, y| quotient(x, y);
    Rem rem |x, y| make("FloorMod", &[x, y]);
}

macro_rules! negation {
    ($($operand:ty),*) => {$(
        impl Neg for $operand {
            type Output = Output;
            #[track_caller]
            fn neg(self) -> Output {
                make("Neg", &[self.as_output()])
            }
        }
    )*};
}

negation!(Output, &Output, &Variable);
