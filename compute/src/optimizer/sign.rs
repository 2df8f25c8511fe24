//! Rules that trust a gradient more if it points in the same direction as the average.

use super::{Number, Rule, Weight};

/// PowerSign (Bello and others, 2017): `m = m * beta + gradient * (1 - beta)`,
/// `weight -= learning_rate * exp(log_base * sign_decay * sign(gradient) * sign(m)) * gradient`.
///
/// State: weights, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerSign<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The logarithm of the factor for agreeing signs.
    pub log_base: T,
    /// The current weight of the signs, initially 1.
    pub sign_decay: T,
    /// The decay rate of m.
    pub beta: T,
}

impl<T: Weight> Rule<T, 2> for PowerSign<T> {
    type Prepared = [T::Number; 4];
    const PICOSECONDS: usize = 900;

    fn prepare(self) -> Self::Prepared {
        let exponent = self.log_base.load() * self.sign_decay.load();
        [self.learning_rate.load(), exponent, self.beta.load(), T::Number::of(1.0) - self.beta.load()]
    }

    #[inline(always)]
    fn step(
        [learning_rate, exponent, beta, rest]: Self::Prepared,
        [weight, m]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let m = m * beta + gradient * rest;
        let factor = (exponent * (gradient.sign() * m.sign())).exp();
        [weight - learning_rate * factor * gradient, m]
    }
}

/// AddSign (Bello and others, 2017): `m = m * beta + gradient * (1 - beta)`,
/// `weight -= learning_rate * (alpha + sign_decay * sign(gradient) * sign(m)) * gradient`.
///
/// State: weights, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddSign<T> {
    /// The learning rate.
    pub learning_rate: T,
    /// The factor where signs do not matter.
    pub alpha: T,
    /// The current weight of the signs, initially 1.
    pub sign_decay: T,
    /// The decay rate of m.
    pub beta: T,
}

impl<T: Weight> Rule<T, 2> for AddSign<T> {
    type Prepared = [T::Number; 5];
    const PICOSECONDS: usize = 400;

    fn prepare(self) -> Self::Prepared {
        let beta = self.beta.load();
        let rest = T::Number::of(1.0) - beta;
        [self.learning_rate.load(), self.alpha.load(), self.sign_decay.load(), beta, rest]
    }

    #[inline(always)]
    fn step(
        [learning_rate, alpha, sign_decay, beta, rest]: Self::Prepared,
        [weight, m]: [T::Number; 2],
        gradient: T::Number,
    ) -> [T::Number; 2] {
        let m = m * beta + gradient * rest;
        let factor = alpha + sign_decay * (gradient.sign() * m.sign());
        [weight - learning_rate * factor * gradient, m]
    }
}
