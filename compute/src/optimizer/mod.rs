//! Training updates: one pass over the weights, their slots and the gradient, in place.
//!
//! | rule | slots | TensorFlow's operation |
//! | --- | --- | --- |
//! | [`GradientDescent`] | none | `ApplyGradientDescent` |
//! | [`Momentum`] | accumulator | `ApplyMomentum` |
//! | [`KerasMomentum`] | accumulator | `ApplyKerasMomentum` |
//! | [`Adam`] | m, v | `ApplyAdam` |
//! | [`AdaMax`] | m, v | `ApplyAdaMax` |
//! | [`RmsProp`] | mean square, momentum | `ApplyRMSProp` |
//! | [`CenteredRmsProp`] | mean gradient, mean square, momentum | `ApplyCenteredRMSProp` |
//! | [`Adagrad`] | accumulator | `ApplyAdagrad`, `ApplyAdagradV2` |
//! | [`AdagradDa`] | gradient and squared gradient accumulators | `ApplyAdagradDA` |
//! | [`Adadelta`] | accumulator, update accumulator | `ApplyAdadelta` |
//! | [`Ftrl`] | accumulator, linear | `ApplyFtrl`, `ApplyFtrlV2` |
//! | [`ProximalGradientDescent`] | none | `ApplyProximalGradientDescent` |
//! | [`ProximalAdagrad`] | accumulator | `ApplyProximalAdagrad` |
//! | [`PowerSign`], [`AddSign`] | m | `ApplyPowerSign`, `ApplyAddSign` |
//!
//! [`apply`] updates all weights, [`apply_sparse`] the rows with given indices; [`Update`] does both for rules that are not
//! known until run time. The `Resource` operations of
//! the same names do the same.
//!
//! The formulas are TensorFlow's, operation by operation, for `f32` and `f64`; the types of 16 bits are
//! rounded after each operation, as there. New weights and slots of `f32` and `f64` below the smallest normal
//! number become 0: TensorFlow's threads run in that mode, and slots that decay through the subnormal range
//! would make every later step many times slower.
//!
//! ```
//! use compute::{Pool, optimizer::{self, Momentum}};
//! let rule = Momentum { learning_rate: 0.5, momentum: 0.9, use_nesterov: false };
//! let (mut weights, mut accumulator) = ([1.0, 2.0], [0.0, 0.0]);
//! optimizer::apply(&Pool::single(), rule, [&mut weights, &mut accumulator], &[1.0, -1.0]);
//! assert_eq!(weights, [0.5, 2.5]);
//! ```

mod adaptive;
mod descent;
mod regularized;
mod sign;
mod update;
mod weight;

pub use adaptive::{AdaMax, Adadelta, Adagrad, AdagradDa, Adam, CenteredRmsProp, RmsProp};
pub use descent::{GradientDescent, KerasMomentum, Momentum};
pub use regularized::{Ftrl, ProximalAdagrad, ProximalGradientDescent};
pub use sign::{AddSign, PowerSign};
pub use update::Update;
pub use weight::{Number, Rounded, Weight};

use crate::Pool;
use crate::elementwise::layout::{Index, IndexError};
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::reduce::execute;
use crate::simd::Vectorised;

/// The update rule of a weight and its slots: `N` numbers, the weight first.
///
/// Mark `step` as `#[inline(always)]`: otherwise it is not compiled for the widest instruction set of the CPU.
pub trait Rule<T: Weight, const N: usize>: Copy + Send + Sync {
    /// The part of the parameters that is the same for all weights.
    type Prepared: Copy + Send + Sync;

    /// About how long one weight takes, which decides from what size on several threads share the work.
    const PICOSECONDS: usize;

    /// Computes the values that are the same for all weights.
    fn prepare(self) -> Self::Prepared;

    /// Returns the new weight and slots.
    fn step(prepared: Self::Prepared, state: [T::Number; N], gradient: T::Number) -> [T::Number; N];
}

/// One update of all elements, as it is compiled for each instruction set.
struct Sweep<'a, T: Weight, R: Rule<T, N>, const N: usize> {
    /// The constants of the step.
    prepared: R::Prepared,
    /// The weights and the slots.
    state: [&'a mut [T]; N],
    /// The gradient.
    gradient: &'a [T],
}

impl<T: Weight, R: Rule<T, N>, const N: usize> Vectorised for Sweep<'_, T, R, N> {
    #[inline(always)]
    fn run(self) {
        let Sweep { prepared, mut state, gradient } = self;
        let len = gradient.len();
        for slice in &mut state {
            // All of one length: the compiler then leaves the checks of indices out of the loop.
            *slice = &mut std::mem::take(slice)[..len];
        }
        for i in 0..len {
            let gradient = gradient[i].load();
            // The values at first do not matter: loops are vectorized, closures over arrays are not.
            let mut numbers = [gradient; N];
            for k in 0..N {
                numbers[k] = state[k][i].load();
            }
            let numbers = R::step(prepared, numbers, gradient);
            for k in 0..N {
                state[k][i] = T::store(numbers[k]);
            }
        }
    }
}

/// Updates every weight. `state` has the weights and then the slots, in the order that the rule states.
///
/// ```
/// use compute::{Pool, optimizer::{self, GradientDescent}};
/// let mut weights = [1.0f32, 2.0];
/// optimizer::apply(&Pool::single(), GradientDescent { learning_rate: 0.5 }, [&mut weights], &[1.0, -1.0]);
/// assert_eq!(weights, [0.5, 2.5]);
/// ```
///
/// # Panics
/// Panics if the slices differ in length.
pub fn apply<T: Weight, R: Rule<T, N>, const N: usize>(
    pool: &Pool,
    rule: R,
    state: [&mut [T]; N],
    gradient: &[T],
) {
    let prepared = rule.prepare();
    let outputs = state.map(|slice| (slice, 1));
    split_outputs(pool, gradient.len(), 64, units_per_part(R::PICOSECONDS), outputs, |range, state| {
        execute::<T, _>(Sweep::<T, R, N> { prepared, state, gradient: &gradient[range] });
    });
}

/// Updates the rows with these indices. Row `i` of `gradient` belongs to row `indices[i]`; rows are `inner` long. A row that occurs twice is
/// updated twice, one after the other, as in TensorFlow.
///
/// This is what `SparseApplyMomentum`, `SparseApplyAdagrad`, `SparseApplyRMSProp`, `SparseApplyFtrl`, and others do. TensorFlow has no such
/// operation for Adam: its optimizer decays the slots of all rows.
///
/// ```
/// use compute::optimizer::{self, GradientDescent};
/// let mut weights = [1.0f32, 1.0, 2.0, 2.0]; // two rows
/// let rule = GradientDescent { learning_rate: 1.0 };
/// optimizer::apply_sparse(rule, 2, [&mut weights], &[0.5, 0.25], &[1i64])?;
/// assert_eq!(weights, [1.0, 1.0, 1.5, 1.75]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside of the weights. Nothing is changed then.
///
/// # Panics
/// Panics if the weights do not consist of whole rows, or if the gradient does not have a row for each index.
pub fn apply_sparse<T: Weight, R: Rule<T, N>, I: Index, const N: usize>(
    rule: R,
    inner: usize,
    mut state: [&mut [T]; N],
    gradient: &[T],
    indices: &[I],
) -> Result<(), IndexError> {
    let mut lengths = [0; N];
    for (length, slice) in lengths.iter_mut().zip(&state) {
        *length = slice.len();
    }
    check_rows(&lengths, gradient.len(), inner, indices)?;
    let prepared = rule.prepare();
    // One row after the other: the second update of a row needs the slots that the first one left.
    for (i, index) in indices.iter().enumerate() {
        let at = index.to_i64() as usize * inner;
        let gradient = &gradient[i * inner..(i + 1) * inner];
        execute::<T, _>(Sweep::<T, R, N> { prepared, state: row(&mut state, at, inner), gradient });
    }
    Ok(())
}

/// Returns one row of the weights and of the slots, not compiled for each rule.
fn row<'a, T, const N: usize>(state: &'a mut [&mut [T]; N], at: usize, inner: usize) -> [&'a mut [T]; N] {
    state.each_mut().map(|slice| &mut slice[at..at + inner])
}

/// Checks the arguments of [`apply_sparse`], not compiled for each rule.
fn check_rows<I: Index>(
    lengths: &[usize],
    gradient: usize,
    inner: usize,
    indices: &[I],
) -> Result<(), IndexError> {
    assert_eq!(gradient, indices.len() * inner, "gradient of {} rows", indices.len());
    let len = lengths[0];
    assert!(lengths.iter().all(|&length| length == len), "slots differ in length");
    let limit = len.checked_div(inner).unwrap_or(0);
    assert_eq!(len, limit * inner, "weights of rows of {inner}");
    let outside = |index: &I| usize::try_from(index.to_i64()).map_or(true, |at| at >= limit);
    match indices.iter().position(outside) {
        Some(position) => Err(IndexError { position, index: indices[position].to_i64(), limit }),
        None => Ok(()),
    }
}
