//! Arithmetic operators on outputs and variables: `a + b`, `2.0 * x`, `-x`.
//!
//! The op types stand in the op library that the operand's operation belongs to, so that this crate defines none.

use crate::{
    AsOutput, AttrValue, Error, OpDef, OpLibrary, Output, OutputInfo, PartialShape, Phase, Variable,
};
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;
use tensor::{DType, Tensor};

/// Finds an op type in the library of an operand.
fn find(operand: &Output, op_type: &str) -> Option<&'static OpDef> {
    let library: &'static dyn OpLibrary = operand.operation().def()?.op_library()?;
    library.find(op_type)
}

/// Makes an operation of this type in the operand's scope.
#[track_caller]
fn make(op_type: &str, operands: &[&Output]) -> Output {
    let first = operands[0];
    let graph = first.graph();
    let builder = match find(first, op_type) {
        Some(def) => graph.op(def),
        None => return unknown(first, op_type),
    };
    operands.iter().fold(builder, |builder, operand| builder.input(*operand)).finish_output()
}

#[track_caller]
fn unknown(operand: &Output, op_type: &str) -> Output {
    let (graph, op) = (operand.graph(), operand.operation());
    if op.error().is_none() {
        let text = format!("the library of '{}' ({}) does not define {op_type}", op.name(), op.op_type());
        graph.record(&Error::runtime(text).with_location(Location::caller()).with_phase(Phase::Build));
    }
    let info = OutputInfo { dtype: operand.dtype(), shape: PartialShape::unknown(), is_ref: false };
    graph.undefined_op(op_type).described_output(info).finish_output()
}

/// A constant of the operand's dtype.
#[track_caller]
fn constant(like: &Output, value: f64) -> Output {
    let graph = like.graph();
    let Some(def) = find(like, "Const") else { return unknown(like, "Const") };
    let tensor = match like.dtype() {
        // No operator takes these beside a number.
        DType::Bool | DType::String => Tensor::from(value as f32),
        dtype => Tensor::of_number(dtype, value),
    };
    let dtype = AttrValue::Type(tensor.dtype());
    graph.op(def).attr("value", tensor).attr("dtype", dtype).finish_output()
}

macro_rules! binary {
    ($($trait:ident $method:ident $op_type:literal;)*) => {$(
        binary!(@pair $trait $method $op_type; Output, Output);
        binary!(@pair $trait $method $op_type; Output, &Output);
        binary!(@pair $trait $method $op_type; &Output, Output);
        binary!(@pair $trait $method $op_type; &Output, &Output);
        binary!(@pair $trait $method $op_type; Output, &Variable);
        binary!(@pair $trait $method $op_type; &Output, &Variable);
        binary!(@pair $trait $method $op_type; &Variable, Output);
        binary!(@pair $trait $method $op_type; &Variable, &Output);
        binary!(@pair $trait $method $op_type; &Variable, &Variable);
        binary!(@number $trait $method $op_type; Output);
        binary!(@number $trait $method $op_type; &Output);
        binary!(@number $trait $method $op_type; &Variable);
    )*};
    (@pair $trait:ident $method:ident $op_type:literal; $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: $right) -> Output {
                make($op_type, &[self.as_output(), other.as_output()])
            }
        }
    };
    (@number $trait:ident $method:ident $op_type:literal; $operand:ty) => {
        impl $trait<f64> for $operand {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: f64) -> Output {
                let this = self.as_output();
                make($op_type, &[this, &constant(this, other)])
            }
        }
        impl $trait<$operand> for f64 {
            type Output = Output;
            #[track_caller]
            fn $method(self, other: $operand) -> Output {
                let other = other.as_output();
                make($op_type, &[&constant(other, self), other])
            }
        }
    };
}

binary! {
    Add add "AddV2";
    Sub sub "Sub";
    Mul mul "Mul";
    Div div "RealDiv";
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
