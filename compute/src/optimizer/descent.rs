//! Gradient descent, with and without momentum.

use super::{Rule, Weight};

/// Gradient descent: `weight -= learning_rate * gradient`.
///
/// State: weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientDescent<T> {
    /// The step for a gradient of 1.
    pub learning_rate: T,
}

impl<T: Weight> Rule<T, 1> for GradientDescent<T> {
    type Prepared = T::Number;
    const PICOSECONDS: usize = 250;

    fn prepare(self) -> T::Number {
        self.learning_rate.load()
    }

    #[inline(always)]
    fn step(learning_rate: T::Number, [weight]: [T::Number; 1], gradient: T::Number) -> [T::Number; 1] {
        [weight - gradient * learning_rate]
    }
}

/// Gradient descent with momentum: `accumulator = accumulator * momentum + gradient`, `weight -= learning_rate * accumulator`.
///
/// State: weights, accumulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum<T> {
    /// The step for an accumulator of 1.
    pub learning_rate: T,
    /// The momentum.
    pub momentum: T,
    /// True to look one step ahead: `weight -= learning_rate * (gradient + momentum * accumulator)`.
    pub use_nesterov: bool,
}

/// A learning rate, a momentum, and whether it is Nesterov's.
type Prepared<N> = (N, N, bool);

impl<T: Weight> Rule<T, 2> for Momentum<T> {
    type Prepared = Prepared<T::Number>;
    const PICOSECONDS: usize = 400;

    fn prepare(self) -> Self::Prepared {
        (self.learning_rate.load(), self.momentum.load(), self.use_nesterov)
    }

    #[inline(always)]
    fn step(
        (learning_rate, momentum, use_nesterov): Self::Prepared,
        [weight, accumulator]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let accumulator = accumulator * momentum + gradient;
        let step = if use_nesterov {
            // TensorFlow's order of the factors, on which the last bits depend.
            gradient * learning_rate + accumulator * momentum * learning_rate
        } else {
            accumulator * learning_rate
        };
        [weight - step, accumulator]
    }
}

/// Gradient descent with the momentum of Keras, which scales the gradient before it is accumulated:
/// `accumulator = accumulator * momentum - learning_rate * gradient`, `weight += accumulator`.
///
/// State: weights, accumulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KerasMomentum<T> {
    /// The step for a gradient of 1.
    pub learning_rate: T,
    /// The momentum.
    pub momentum: T,
    /// True to look one step ahead: `weight += momentum * accumulator - learning_rate * gradient`.
    pub use_nesterov: bool,
}

impl<T: Weight> Rule<T, 2> for KerasMomentum<T> {
    type Prepared = Prepared<T::Number>;
    const PICOSECONDS: usize = 400;

    fn prepare(self) -> Self::Prepared {
        (self.learning_rate.load(), self.momentum.load(), self.use_nesterov)
    }

    #[inline(always)]
    fn step(
        (learning_rate, momentum, use_nesterov): Self::Prepared,
        [weight, accumulator]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let accumulator = accumulator * momentum - gradient * learning_rate;
        let step = if use_nesterov { accumulator * momentum - gradient * learning_rate } else { accumulator };
        [weight + step, accumulator]
    }
}
