//! Special functions that are defined by integrals.

use super::binary::{mul, real_div, sub};
use super::compare::equal;
use super::select::select;
use super::unary::{FLOAT, by_slope, cos, exp, log, sin, smooth, square, unary_functions};
use crate::array::constants::scalar_like;
use crate::library::op_defs;
use session_core::{AsOutput, Operation, Output, Result};
use std::f64::consts::FRAC_PI_2;

op_defs! {
    DAWSN: smooth("Dawsn", FLOAT, dawsn_gradient);
    EXPINT: smooth("Expint", FLOAT, expint_gradient);
    FRESNEL_COS: smooth("FresnelCos", FLOAT, fresnel_cos_gradient);
    FRESNEL_SIN: smooth("FresnelSin", FLOAT, fresnel_sin_gradient);
    SPENCE: smooth("Spence", FLOAT, spence_gradient);
}

fn dawsn_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Dawson's function F satisfies `F' = 1 - 2 x F`.
    by_slope(op, grads, |x| sub(scalar_like(x, 1.0), mul(scalar_like(x, 2.0), mul(x, op.output(0)))))
}

fn expint_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| real_div(exp(x), x))
}

/// `pi / 2 * x^2`, the argument of both Fresnel integrals.
fn angle(x: &Output) -> Output {
    mul(scalar_like(x, FRAC_PI_2), square(x))
}

fn fresnel_cos_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| cos(angle(x)))
}

fn fresnel_sin_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sin(angle(x)))
}

fn spence_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| {
        // At 1 the formula divides by 0; both branches must be finite there.
        let one = || scalar_like(x, 1.0);
        let at_one = equal(x, one());
        let safe = select(&at_one, scalar_like(x, 2.0), x);
        select(&at_one, scalar_like(x, -1.0), real_div(log(&safe), sub(one(), &safe)))
    })
}

unary_functions! {
    /// Returns Dawson's integral: `exp(-x * x)` times the integral of `exp(t * t)` from 0 to `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::dawsn(constant(&graph, [0.5f32, 1.0])); // [0.4244, 0.5381]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    dawsn => DAWSN;
    /// Returns the exponential integral Ei: the principal value of the integral of `exp(t) / t` up to `x`, NaN for negative numbers.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::expint(constant(&graph, [0.5f32, 1.0])); // [0.4542, 1.8951]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    expint => EXPINT;
    /// Returns Fresnel's cosine integral: that of `cos(pi / 2 * t * t)` from 0 to `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::fresnel_cos(constant(&graph, [0.5f32, 1.0])); // [0.4923, 0.7799]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    fresnel_cos => FRESNEL_COS;
    /// Returns Fresnel's sine integral: that of `sin(pi / 2 * t * t)` from 0 to `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::fresnel_sin(constant(&graph, [0.5f32, 1.0])); // [0.0647, 0.4383]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    fresnel_sin => FRESNEL_SIN;
    /// Returns Spence's integral, the dilogarithm of `1 - x`: minus the integral of `log(t) / (t - 1)` from 1 to `x`; NaN for negative numbers.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # let graph = session_core::Graph::new();
    /// let y = math::spence(constant(&graph, [0.5f32, 1.0])); // [0.5822, 0.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    spence => SPENCE;
}
