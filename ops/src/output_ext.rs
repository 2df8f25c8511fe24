//! The everyday functions as methods.

use crate::array::slicing::Index;
use crate::{Axes, Ints, ReductionAxes, array, math, nn};
use session_core::{AsOutput, DType, Output};

macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $type:ty),*) => $function:path;
    )*) => {
        /// The functions of [`mod@array`], [`math`] and [`nn`] that models use most, as methods of outputs
        /// and variables. Implemented for both; do not implement it.
        ///
        /// ```
        /// use ops::{OutputExt, array::placeholder};
        /// use session_core::{DType, Graph};
        ///
        /// let graph = Graph::new();
        /// let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(4)]);
        /// let w = placeholder(&graph.named("w"), DType::Float32, [4, 2]);
        /// let y = x.matmul(&w).relu().reduce_mean(0);
        /// assert_eq!(y.shape().to_string(), "[2]");
        /// ```
        pub trait OutputExt: AsOutput {
            $(
                $(#[$doc])*
                #[must_use]
                #[track_caller]
                fn $name(&self $(, $argument: $type)*) -> Output {
                    $function(self.as_output() $(, $argument)*)
                }
            )*
        }
    };
}

methods! {
    /// See [`math::matmul`].
    matmul(other: impl AsOutput) => math::matmul;
    /// See [`nn::bias_add`].
    bias_add(bias: impl AsOutput) => nn::bias_add;
    /// See [`nn::relu`].
    relu() => nn::relu;
    /// See [`math::tanh`].
    tanh() => math::tanh;
    /// See [`math::sigmoid`].
    sigmoid() => math::sigmoid;
    /// See [`nn::softmax`].
    softmax() => nn::softmax;
    /// See [`nn::log_softmax`].
    log_softmax() => nn::log_softmax;
    /// See [`math::exp`].
    exp() => math::exp;
    /// See [`math::log`].
    log() => math::log;
    /// See [`math::sqrt`].
    sqrt() => math::sqrt;
    /// See [`math::rsqrt`].
    rsqrt() => math::rsqrt;
    /// See [`math::square`].
    square() => math::square;
    /// See [`math::abs`].
    abs() => math::abs;
    /// See [`math::sign`].
    sign() => math::sign;
    /// See [`math::pow`].
    pow(exponent: impl AsOutput) => math::pow;
    /// See [`math::truediv`].
    truediv(other: impl AsOutput) => math::truediv;
    /// See [`math::floordiv`].
    floordiv(other: impl AsOutput) => math::floordiv;
    /// See [`math::maximum`].
    maximum(other: impl AsOutput) => math::maximum;
    /// See [`math::minimum`].
    minimum(other: impl AsOutput) => math::minimum;
    /// See [`math::reduce_sum`].
    reduce_sum(axes: impl Into<ReductionAxes>) => math::reduce_sum;
    /// See [`math::reduce_mean`].
    reduce_mean(axes: impl Into<ReductionAxes>) => math::reduce_mean;
    /// See [`math::reduce_max`].
    reduce_max(axes: impl Into<ReductionAxes>) => math::reduce_max;
    /// See [`math::reduce_min`].
    reduce_min(axes: impl Into<ReductionAxes>) => math::reduce_min;
    /// See [`math::argmax`].
    argmax(axis: impl Into<Ints>) => math::argmax;
    /// See [`math::argmin`].
    argmin(axis: impl Into<Ints>) => math::argmin;
    /// See [`math::equal`].
    equal(other: impl AsOutput) => math::equal;
    /// See [`math::not_equal`].
    not_equal(other: impl AsOutput) => math::not_equal;
    /// See [`math::less`].
    less(other: impl AsOutput) => math::less;
    /// See [`math::less_equal`].
    less_equal(other: impl AsOutput) => math::less_equal;
    /// See [`math::greater`].
    greater(other: impl AsOutput) => math::greater;
    /// See [`math::greater_equal`].
    greater_equal(other: impl AsOutput) => math::greater_equal;
    /// See [`math::cast()`].
    cast(dtype: DType) => math::cast;
    /// See [`array::shape`]; the static shape is [`Output::shape`].
    shape_tensor() => array::shape;
    /// See [`array::reshape`].
    reshape(shape: impl Into<Ints>) => array::reshape;
    /// See [`array::transpose`].
    transpose(perm: impl Into<Ints>) => array::transpose;
    /// See [`array::expand_dims`].
    expand_dims(axis: impl Into<Ints>) => array::expand_dims;
    /// See [`array::squeeze`].
    squeeze(axes: impl Into<Axes>) => array::squeeze;
    /// See [`array::slice`].
    slice(begin: impl Into<Ints>, size: impl Into<Ints>) => array::slice;
    /// See [`array::strided_slice`].
    strided_slice(indices: &[Index]) => array::strided_slice;
    /// See [`array::gather`].
    gather(indices: impl AsOutput) => array::gather;
    /// See [`array::tile`].
    tile(multiples: impl Into<Ints>) => array::tile;
    /// See [`array::identity`].
    identity() => array::identity;
    /// See [`array::stop_gradient`].
    stop_gradient() => array::stop_gradient;
}

impl<T: AsOutput + ?Sized> OutputExt for T {}
