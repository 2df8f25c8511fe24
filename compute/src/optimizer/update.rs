//! Rules behind a pointer, which are compiled once, in this crate.

use super::{
    AdaMax, Adadelta, Adagrad, AdagradDa, Adam, AddSign, CenteredRmsProp, Ftrl, GradientDescent,
    KerasMomentum, Momentum, PowerSign, ProximalAdagrad, ProximalGradientDescent, RmsProp, apply,
    apply_sparse,
};
use crate::Pool;
use crate::elementwise::layout::IndexError;
use half::{bf16, f16};

/// A rule for weights of type `T`, whatever its slots.
///
/// ```
/// use compute::{Pool, optimizer::{GradientDescent, Update}};
/// let rule: &dyn Update<f32> = &GradientDescent { learning_rate: 0.5 };
/// let mut weights = [1.0, 2.0];
/// rule.apply(&Pool::single(), vec![&mut weights], &[1.0, -1.0]);
/// assert_eq!(weights, [0.5, 2.5]);
/// ```
pub trait Update<T> {
    /// Updates every weight by this rule, as [`apply`].
    ///
    /// # Panics
    /// Panics as [`apply`], and if `state` is not the weights and the slots of the rule.
    fn apply(&self, pool: &Pool, state: Vec<&mut [T]>, gradient: &[T]);

    /// Updates rows by this rule, as [`apply_sparse`].
    ///
    /// # Errors
    /// Those of [`apply_sparse`].
    ///
    /// # Panics
    /// Panics as [`apply_sparse`], and if `state` is not the weights and the slots of the rule.
    fn apply_sparse(
        &self,
        inner: usize,
        state: Vec<&mut [T]>,
        gradient: &[T],
        indices: &[i64],
    ) -> Result<(), IndexError>;
}

/// Returns the weights and the slots of a rule of `N`.
///
/// # Panics
/// Panics if there are more or fewer.
fn exactly<T, const N: usize>(state: Vec<&mut [T]>) -> [&mut [T]; N] {
    let found = state.len();
    state.try_into().unwrap_or_else(|_| panic!("a rule of {N} arrays is given {found}"))
}

/// Implements the update for several types of weights.
///
/// The list of rules is implemented for each of the four types of weights.
macro_rules! updates {
    ($($rule:ident),*) => {
        updates!(@ f32: $($rule),*);
        updates!(@ f64: $($rule),*);
        updates!(@ f16: $($rule),*);
        updates!(@ bf16: $($rule),*);
    };
    (@ $type:ty: $($rule:ident),*) => {$(
        impl Update<$type> for $rule<$type> {
            // Never inlined, so that the loops are compiled in this crate, for all instruction sets, and
            // nowhere else.
            #[inline(never)]
            fn apply(&self, pool: &Pool, state: Vec<&mut [$type]>, gradient: &[$type]) {
                apply(pool, *self, exactly(state), gradient);
            }

            #[inline(never)]
            fn apply_sparse(
                &self,
                inner: usize,
                state: Vec<&mut [$type]>,
                gradient: &[$type],
                indices: &[i64],
            ) -> Result<(), IndexError> {
                apply_sparse(*self, inner, exactly(state), gradient, indices)
            }
        }
    )*};
}

updates!(
    AdaMax,
    Adadelta,
    Adagrad,
    AdagradDa,
    Adam,
    AddSign,
    CenteredRmsProp,
    Ftrl,
    GradientDescent,
    KerasMomentum,
    Momentum,
    PowerSign,
    ProximalAdagrad,
    ProximalGradientDescent,
    RmsProp
);
