//! Bessel functions of orders 0 and 1.

use super::binary::{add, mul, real_div, sub};
use super::compare::equal;
use super::select::select;
use super::unary::{FLOAT, by_slope, neg, reciprocal, sign, smooth, unary_functions};
use crate::array::constants::scalar_like;
use crate::library::op_defs;
use session_core::{AsOutput, Operation, Output, Result};

op_defs! {
    BESSEL_I0: smooth("BesselI0", FLOAT, i0_gradient);
    BESSEL_I1: smooth("BesselI1", FLOAT, i1_gradient);
    BESSEL_I0E: smooth("BesselI0e", FLOAT, i0e_gradient);
    BESSEL_I1E: smooth("BesselI1e", FLOAT, i1e_gradient);
    BESSEL_J0: smooth("BesselJ0", FLOAT, j0_gradient);
    BESSEL_J1: smooth("BesselJ1", FLOAT, j1_gradient);
    BESSEL_K0: smooth("BesselK0", FLOAT, k0_gradient);
    BESSEL_K1: smooth("BesselK1", FLOAT, k1_gradient);
    BESSEL_K0E: smooth("BesselK0e", FLOAT, k0e_gradient);
    BESSEL_K1E: smooth("BesselK1e", FLOAT, k1e_gradient);
    BESSEL_Y0: smooth("BesselY0", FLOAT, y0_gradient);
    BESSEL_Y1: smooth("BesselY1", FLOAT, y1_gradient);
}

/// Returns a slope of a function that vanishes at 0 like `x / 2`: there its formula divides by 0.
fn except_at_zero(x: &Output, slope: impl FnOnce(&Output) -> Output) -> Output {
    let at_zero = equal(x, scalar_like(x, 0.0));
    // Both branches must be finite at 0.
    let elsewhere = slope(&select(&at_zero, scalar_like(x, 1.0), x));
    // The derivative of the first-order functions at 0 is 1/2.
    select(&at_zero, scalar_like(x, 0.5), elsewhere)
}

/// Builds the gradient.
fn i0_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| bessel_i1(x))
}

/// Builds the gradient.
fn i1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| except_at_zero(x, |x| sub(bessel_i0(x), real_div(op.output(0), x))))
}

/// Builds the gradient.
fn i0e_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sub(bessel_i1e(x), mul(sign(x), op.output(0))))
}

/// Builds the gradient.
fn i1e_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| {
        except_at_zero(x, |x| sub(bessel_i0e(x), mul(op.output(0), add(sign(x), reciprocal(x)))))
    })
}

/// Builds the gradient.
fn j0_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| neg(bessel_j1(x)))
}

/// Builds the gradient.
fn j1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| except_at_zero(x, |x| sub(bessel_j0(x), real_div(op.output(0), x))))
}

/// Builds the gradient.
fn k0_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| neg(bessel_k1(x)))
}

/// Builds the gradient.
fn k1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sub(neg(bessel_k0(x)), real_div(op.output(0), x)))
}

/// Builds the gradient.
fn k0e_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sub(op.output(0), bessel_k1e(x)))
}

/// Builds the gradient.
fn k1e_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| {
        let one = scalar_like(x, 1.0);
        sub(mul(op.output(0), sub(one, reciprocal(x))), bessel_k0e(x))
    })
}

/// Builds the gradient.
fn y0_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| neg(bessel_y1(x)))
}

/// Builds the gradient.
fn y1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sub(bessel_y0(x), real_div(op.output(0), x)))
}

unary_functions! {
    /// Returns the modified Bessel function of the first kind of order 0.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_i0(constant(&graph, [0.0f32, 1.0])); // [1.0, 1.2661]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_i0 => BESSEL_I0;
    /// Returns the modified Bessel function of the first kind of order 1.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_i1(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.5652]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_i1 => BESSEL_I1;
    /// Returns the modified Bessel function of the first kind of order 0, times `exp(-|x|)`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_i0e(constant(&graph, [0.0f32, 1.0])); // [1.0, 0.4658]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_i0e => BESSEL_I0E;
    /// Returns the modified Bessel function of the first kind of order 1, times `exp(-|x|)`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_i1e(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.2079]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_i1e => BESSEL_I1E;
    /// Returns the Bessel function of the first kind of order 0.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_j0(constant(&graph, [0.0f32, 1.0])); // [1.0, 0.7652]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_j0 => BESSEL_J0;
    /// Returns the Bessel function of the first kind of order 1.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_j1(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.4401]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_j1 => BESSEL_J1;
    /// Returns the modified Bessel function of the second kind of order 0: infinite for numbers that are not positive.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_k0(constant(&graph, [0.5f32, 1.0])); // [0.9244, 0.4210]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_k0 => BESSEL_K0;
    /// Returns the modified Bessel function of the second kind of order 1: infinite for numbers that are not positive.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_k1(constant(&graph, [0.5f32, 1.0])); // [1.6564, 0.6019]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_k1 => BESSEL_K1;
    /// Returns the modified Bessel function of the second kind of order 0, times `exp(x)`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_k0e(constant(&graph, [0.5f32, 1.0])); // [1.5241, 1.1445]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_k0e => BESSEL_K0E;
    /// Returns the modified Bessel function of the second kind of order 1, times `exp(x)`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_k1e(constant(&graph, [0.5f32, 1.0])); // [2.7310, 1.6362]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_k1e => BESSEL_K1E;
    /// Returns the Bessel function of the second kind of order 0: minus infinity for numbers that are not positive.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_y0(constant(&graph, [0.5f32, 1.0])); // [-0.4445, 0.0883]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_y0 => BESSEL_Y0;
    /// Returns the Bessel function of the second kind of order 1: minus infinity for numbers that are not positive.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::bessel_y1(constant(&graph, [0.5f32, 1.0])); // [-1.4715, -0.7812]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    bessel_y1 => BESSEL_Y1;
}
