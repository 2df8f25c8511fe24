//! Rules with penalties that set weights to exactly 0.

use super::{Number, Rule, Weight};

/// Returns the point that is nearest to `x` once the penalties have been paid for a step of `rate`:
/// `sign(x) * max(|x| - rate * l1, 0) / (1 + rate * l2)`.
#[inline(always)]
fn proximal<N: Number>(x: N, rate: N, l1: N, l2: N) -> N {
    let zero = N::of(0.0);
    // Without a penalty, `x` stays as it is; so does NaN, which the formula would turn into 0.
    let shrunk = x.sign() * (x.abs() - rate * l1).max(zero);
    let shrunk = if l1 > zero && !x.is_nan() { shrunk } else { x };
    shrunk / (N::of(1.0) + rate * l2)
}

/// A step of gradient descent, followed by the proximal step for both penalties.
///
/// State: weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProximalGradientDescent<T> {
    /// The step for a gradient of 1.
    pub learning_rate: T,
    /// The strength of the penalty on magnitudes.
    pub l1: T,
    /// The strength of the penalty on squares.
    pub l2: T,
}

impl<T: Weight> Rule<T, 1> for ProximalGradientDescent<T> {
    type Prepared = [T::Number; 3];
    const PICOSECONDS: usize = 400;

    fn prepare(self) -> Self::Prepared {
        [self.learning_rate.load(), self.l1.load(), self.l2.load()]
    }

    #[inline(always)]
    fn step([rate, l1, l2]: Self::Prepared, [weight]: [T::Number; 1], gradient: T::Number) -> [T::Number; 1] {
        [proximal(weight - gradient * rate, rate, l1, l2)]
    }
}

/// A step of Adagrad, followed by the proximal step for both penalties with the same rate.
///
/// State: weights, accumulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProximalAdagrad<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The strength of the penalty on magnitudes.
    pub l1: T,
    /// The strength of the penalty on squares.
    pub l2: T,
}

impl<T: Weight> Rule<T, 2> for ProximalAdagrad<T> {
    type Prepared = [T::Number; 3];
    const PICOSECONDS: usize = 700;

    fn prepare(self) -> Self::Prepared {
        [self.learning_rate.load(), self.l1.load(), self.l2.load()]
    }

    #[inline(always)]
    fn step(
        [learning_rate, l1, l2]: Self::Prepared,
        [weight, accumulator]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let accumulator = accumulator + gradient * gradient;
        let rate = learning_rate * (T::Number::of(1.0) / accumulator.sqrt());
        [proximal(weight - gradient * rate, rate, l1, l2), accumulator]
    }
}

/// Follow the regularized leader (McMahan and others, 2013).
///
/// State: weights, accumulators, linear terms.
///
/// With `p = -learning_rate_power`, `g = gradient + 2 * l2_shrinkage * weight` and `new = accumulator +
/// gradient^2`:
///
/// ```text
/// linear += g - (new^p - accumulator^p) / learning_rate * weight
/// quadratic = new^p / learning_rate + 2 * l2
/// weight = if |linear| > l1 { (l1 * sign(linear) - linear) / quadratic } else { 0 }
/// accumulator = new
/// ```
///
/// With `multiply_linear_by_lr`, the linear term, its penalty and the quadratic term are all multiplied by
/// the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ftrl<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The strength of the penalty on magnitudes.
    pub l1: T,
    /// The strength of the penalty on squares.
    pub l2: T,
    /// The same, but only in the gradient (`ApplyFtrlV2`); 0 for `ApplyFtrl`.
    pub l2_shrinkage: T,
    /// The power of the accumulator that the rate falls with; -0.5 by custom, at most 0.
    pub learning_rate_power: T,
    /// True if the linear term holds the learning rate as a factor.
    pub multiply_linear_by_lr: bool,
    /// True if a linear term that is NaN gives a weight that is NaN, as in TensorFlow's updates of rows. Its updates of
    /// whole variables give 0.
    pub keeps_nan: bool,
}

/// The constants of an [`Ftrl`] step.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct FtrlStep<N> {
    /// The learning rate.
    learning_rate: N,
    /// The factor of the absolute values of the weights.
    l1: N,
    /// Twice the penalty on squares, which the formula needs.
    twice_l2: N,
    /// Twice the shrinkage.
    twice_shrinkage: N,
    /// The negated power of the accumulator.
    power: N,
    /// True if the power is that of a square root, which is computed as one.
    is_root: bool,
    /// True if the linear term holds the learning rate as a factor.
    multiply: bool,
    /// True if NaN in the linear term is that of the weight.
    keeps_nan: bool,
}

impl<T: Weight> Rule<T, 3> for Ftrl<T> {
    type Prepared = FtrlStep<T::Number>;
    const PICOSECONDS: usize = 1_500;

    fn prepare(self) -> Self::Prepared {
        let two = T::Number::of(2.0);
        let learning_rate = self.learning_rate.load();
        let factor = if self.multiply_linear_by_lr { learning_rate } else { T::Number::of(1.0) };
        FtrlStep {
            learning_rate,
            l1: self.l1.load() * factor,
            twice_l2: two * self.l2.load() * factor,
            twice_shrinkage: two * self.l2_shrinkage.load(),
            power: -self.learning_rate_power.load(),
            is_root: self.learning_rate_power.load() == T::Number::of(-0.5),
            multiply: self.multiply_linear_by_lr,
            keeps_nan: self.keeps_nan,
        }
    }

    #[inline(always)]
    fn step(
        p: Self::Prepared,
        [weight, accumulator, linear]: [T::Number; 3],
        gradient: T::Number,
    ) -> [T::Number; 3] {
        // Roots are vectorized and powers are not. TensorFlow has the same case, so the bits agree.
        let raised = |x: T::Number| if p.is_root { x.sqrt() } else { x.pow(p.power) };
        let shrunk = gradient + p.twice_shrinkage * weight;
        let new_accumulator = accumulator + gradient * gradient;
        let (old_scale, new_scale) = (raised(accumulator), raised(new_accumulator));
        let growth = new_scale - old_scale;
        let (linear, quadratic) = if p.multiply {
            (linear + (shrunk * p.learning_rate - growth * weight), new_scale + p.twice_l2)
        } else {
            (linear + (shrunk - growth / p.learning_rate * weight), new_scale / p.learning_rate + p.twice_l2)
        };
        let step = (p.l1 * linear.sign() - linear) / quadratic;
        // Within the penalty the best weight is exactly 0, which makes the model sparse.
        let weight = if linear.abs() > p.l1 { step } else { T::Number::of(0.0) };
        let weight = if p.keeps_nan && linear.is_nan() { linear } else { weight };
        [weight, new_accumulator, linear]
    }
}
