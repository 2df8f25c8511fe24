//! Rules that scale the step of each weight by the history of its gradient.

use super::{Number, Rule, Weight};

/// Adam (Kingma and Ba, 2014), with the bias correction in the step size:
/// `alpha = learning_rate * sqrt(1 - beta2_power) / (1 - beta1_power)`,
/// `m += (gradient - m) * (1 - beta1)`, `v += (gradient^2 - v) * (1 - beta2)`,
/// `weight -= m * alpha / (sqrt(v) + epsilon)`.
///
/// State: weights, m, v. The caller multiplies the powers after each step.
///
/// ```
/// use compute::{Pool, optimizer::{self, Adam}};
/// let rule = Adam {
///     learning_rate: 0.1f32, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
///     beta1_power: 0.9, beta2_power: 0.999, use_nesterov: false,
/// };
/// let (mut weights, mut m, mut v) = ([1.0], [0.0], [0.0]);
/// optimizer::apply(&Pool::single(), rule, [&mut weights, &mut m, &mut v], &[5.0]);
/// assert!((weights[0] - 0.9f32).abs() < 1e-5); // the first step is as long as the learning rate
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The decay rate of m.
    pub beta1: T,
    /// The decay rate of v.
    pub beta2: T,
    /// Keeps the denominator from 0.
    pub epsilon: T,
    /// `beta1` to the power of the step's number, counted from 1.
    pub beta1_power: T,
    /// `beta2` to the power of the step's number, counted from 1.
    pub beta2_power: T,
    /// True to look one step ahead: `beta1 * m + (1 - beta1) * gradient` in place of m.
    pub use_nesterov: bool,
}

/// The constants of an [`Adam`] step: 1 - beta1, 1 - beta2, beta1, alpha, epsilon.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct AdamStep<N> {
    /// One minus `beta1`.
    rest1: N,
    /// One minus `beta2`.
    rest2: N,
    /// The decay of the mean of the gradient.
    beta1: N,
    /// The learning rate with the bias correction.
    alpha: N,
    /// The number that is added to the root, so that no division is by 0.
    epsilon: N,
    /// True to look one step ahead.
    use_nesterov: bool,
}

impl<T: Weight> Rule<T, 3> for Adam<T> {
    type Prepared = AdamStep<T::Number>;
    const PICOSECONDS: usize = 600;

    fn prepare(self) -> Self::Prepared {
        let one = T::Number::of(1.0);
        // Once for all weights: the correction of both means is a factor of the step.
        let corrected = (one - self.beta2_power.load()).sqrt() / (one - self.beta1_power.load());
        AdamStep {
            rest1: one - self.beta1.load(),
            rest2: one - self.beta2.load(),
            beta1: self.beta1.load(),
            alpha: self.learning_rate.load() * corrected,
            epsilon: self.epsilon.load(),
            use_nesterov: self.use_nesterov,
        }
    }

    #[inline(always)]
    fn step(p: Self::Prepared, [weight, m, v]: [T::Number; 3], gradient: T::Number) -> [T::Number; 3] {
        let m = m + (gradient - m) * p.rest1;
        let v = v + (gradient * gradient - v) * p.rest2;
        let direction = if p.use_nesterov { gradient * p.rest1 + p.beta1 * m } else { m };
        [weight - direction * p.alpha / (v.sqrt() + p.epsilon), m, v]
    }
}

/// AdaMax (Kingma and Ba, 2014): `m += (gradient - m) * (1 - beta1)`, `v = max(beta2 * v, |gradient|)`,
/// `weight -= learning_rate / (1 - beta1_power) * m / (v + epsilon)`.
///
/// State: weights, m, v.
///
/// The maximum bounds the gradients seen so far, with a decay, so `v` needs no correction for its start at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaMax<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The decay rate of m.
    pub beta1: T,
    /// The decay rate of v.
    pub beta2: T,
    /// Keeps the denominator from 0.
    pub epsilon: T,
    /// `beta1` to the power of the step's number, counted from 1.
    pub beta1_power: T,
}

impl<T: Weight> Rule<T, 3> for AdaMax<T> {
    type Prepared = [T::Number; 4];
    const PICOSECONDS: usize = 600;

    fn prepare(self) -> Self::Prepared {
        let one = T::Number::of(1.0);
        let alpha = self.learning_rate.load() / (one - self.beta1_power.load());
        [alpha, one - self.beta1.load(), self.beta2.load(), self.epsilon.load()]
    }

    #[inline(always)]
    fn step(
        [alpha, rest1, beta2, epsilon]: Self::Prepared,
        [weight, m, v]: [T::Number; 3],
        gradient: T::Number,
    ) -> [T::Number; 3] {
        let m = m + (gradient - m) * rest1;
        // A NaN gradient stays out of the slot: `Number::max` returns its argument where the comparison fails.
        let v = gradient.abs().max(beta2 * v);
        [weight - alpha * (m / (v + epsilon)), m, v]
    }
}

/// RMSProp: `mean_square += (gradient^2 - mean_square) * (1 - rho)`,
/// `moment = moment * momentum + learning_rate * gradient / sqrt(mean_square + epsilon)`,
/// `weight -= moment`.
///
/// State: weights, mean squares, moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The decay rate of the mean square.
    pub rho: T,
    /// The momentum.
    pub momentum: T,
    /// Keeps the denominator from 0.
    pub epsilon: T,
}

impl<T: Weight> Rule<T, 3> for RmsProp<T> {
    type Prepared = [T::Number; 4];
    const PICOSECONDS: usize = 600;

    fn prepare(self) -> Self::Prepared {
        let rest = T::Number::of(1.0) - self.rho.load();
        [self.learning_rate.load(), rest, self.momentum.load(), self.epsilon.load()]
    }

    #[inline(always)]
    fn step(
        [learning_rate, rest, momentum, epsilon]: Self::Prepared,
        [weight, mean_square, moment]: [T::Number; 3],
        gradient: T::Number,
    ) -> [T::Number; 3] {
        let mean_square = mean_square + (gradient * gradient - mean_square) * rest;
        let moment = moment * momentum + (gradient * learning_rate) / (mean_square + epsilon).sqrt();
        [weight - moment, mean_square, moment]
    }
}

/// RMSProp with the variance instead of the mean square: `mean_gradient` is maintained like `mean_square`, and the root is of
/// `mean_square - mean_gradient^2 + epsilon`.
///
/// State: weights, mean gradients, mean squares, moments.
///
/// Steps are longer than those of [`RmsProp`] where gradients agree, since their variance is then small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenteredRmsProp<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The decay rate of the means.
    pub rho: T,
    /// The momentum.
    pub momentum: T,
    /// Keeps the denominator from 0.
    pub epsilon: T,
}

impl<T: Weight> Rule<T, 4> for CenteredRmsProp<T> {
    type Prepared = [T::Number; 4];
    const PICOSECONDS: usize = 700;

    fn prepare(self) -> Self::Prepared {
        let rest = T::Number::of(1.0) - self.rho.load();
        [self.learning_rate.load(), rest, self.momentum.load(), self.epsilon.load()]
    }

    #[inline(always)]
    fn step(
        [learning_rate, rest, momentum, epsilon]: Self::Prepared,
        [weight, mean_gradient, mean_square, moment]: [T::Number; 4],
        gradient: T::Number,
    ) -> [T::Number; 4] {
        let mean_square = mean_square + (gradient * gradient - mean_square) * rest;
        let mean_gradient = mean_gradient + (gradient - mean_gradient) * rest;
        // The variance may round to a little below 0, which `epsilon` has to outweigh.
        let denominator = (mean_square - mean_gradient * mean_gradient) + epsilon;
        let moment = moment * momentum + (gradient * learning_rate) / denominator.sqrt();
        [weight - moment, mean_gradient, mean_square, moment]
    }
}

/// Adagrad (Duchi, Hazan and Singer, 2011): `accumulator += gradient^2`,
/// `weight -= learning_rate * gradient / sqrt(accumulator)`.
///
/// State: weights, accumulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// Added to the root (`ApplyAdagradV2`); none for `ApplyAdagrad`.
    pub epsilon: Option<T>,
    /// True if the accumulator is updated. Default: true.
    pub update_slots: bool,
}

impl<T: Weight> Rule<T, 2> for Adagrad<T> {
    type Prepared = (T::Number, Option<T::Number>, bool);
    const PICOSECONDS: usize = 500;

    fn prepare(self) -> Self::Prepared {
        (self.learning_rate.load(), self.epsilon.map(Weight::load), self.update_slots)
    }

    #[inline(always)]
    fn step(
        (learning_rate, epsilon, update_slots): Self::Prepared,
        [weight, accumulator]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let accumulator = if update_slots { accumulator + gradient * gradient } else { accumulator };
        let step = match epsilon {
            Some(epsilon) => gradient * learning_rate / (accumulator.sqrt() + epsilon),
            // TensorFlow multiplies by a reciprocal root, whose bits differ from those of a quotient.
            None => gradient * learning_rate * (T::Number::of(1.0) / accumulator.sqrt()),
        };
        [weight - step, accumulator]
    }
}

/// Adagrad with dual averaging (Duchi, Hazan and Singer, 2011), for sparse linear models.
///
/// State: weights, gradient accumulators, squared gradient accumulators.
///
/// With `sum += gradient` and `squares += gradient^2` after step `t`, the new weight is `-learning_rate *
/// shrink(sum, l1 * t) / (l2 * t * learning_rate + sqrt(squares))`, where `shrink` moves a number towards 0
/// by a distance, at most up to 0. The old weight has no influence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdagradDa<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The strength of the penalty on magnitudes.
    pub l1: T,
    /// The strength of the penalty on squares.
    pub l2: T,
    /// The number of the step, counted from 1.
    pub global_step: i64,
}

impl<T: Weight> Rule<T, 3> for AdagradDa<T> {
    type Prepared = [T::Number; 3];
    const PICOSECONDS: usize = 700;

    fn prepare(self) -> Self::Prepared {
        let (step, learning_rate) = (T::Number::of(self.global_step as f64), self.learning_rate.load());
        [learning_rate, self.l1.load() * step, self.l2.load() * step * learning_rate]
    }

    #[inline(always)]
    fn step(
        [learning_rate, l1, l2]: Self::Prepared,
        [_, sum, squares]: [T::Number; 3],
        gradient: T::Number,
    ) -> [T::Number; 3] {
        let zero = T::Number::of(0.0);
        // The new weight follows from the sums alone; the old one is not read.
        let sum = sum + gradient;
        let squares = squares + gradient * gradient;
        let shrunk = if l1 > zero { sum.sign() * (sum.abs() - l1).max(zero) } else { sum };
        [-learning_rate * shrunk / (l2 + squares.sqrt()), sum, squares]
    }
}

/// Adadelta (Zeiler, 2012): `accumulator = accumulator * rho + gradient^2 * (1 - rho)`,
/// `update = sqrt(update_accumulator + epsilon) / sqrt(accumulator + epsilon) * gradient`,
/// `weight -= learning_rate * update`, `update_accumulator = update_accumulator * rho + update^2 * (1 - rho)`.
///
/// State: weights, accumulators, update accumulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adadelta<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The decay rate of the accumulators.
    pub rho: T,
    /// Keeps the denominator from 0.
    pub epsilon: T,
}

impl<T: Weight> Rule<T, 3> for Adadelta<T> {
    type Prepared = [T::Number; 4];
    const PICOSECONDS: usize = 800;

    fn prepare(self) -> Self::Prepared {
        let rho = self.rho.load();
        [self.learning_rate.load(), rho, T::Number::of(1.0) - rho, self.epsilon.load()]
    }

    #[inline(always)]
    fn step(
        [learning_rate, rho, rest, epsilon]: Self::Prepared,
        [weight, accumulator, updates]: [T::Number; 3],
        gradient: T::Number,
    ) -> [T::Number; 3] {
        let accumulator = accumulator * rho + gradient * gradient * rest;
        // The ratio of the roots gives the step the unit of the weights, whatever the unit of the gradient.
        let scale = (updates + epsilon).sqrt() * (T::Number::of(1.0) / (accumulator + epsilon).sqrt());
        let update = scale * gradient;
        [weight - update * learning_rate, accumulator, updates * rho + update * update * rest]
    }
}
