//! Applying a function of one argument to every element.

use super::narrow::{BLOCK, Narrow};
use super::unary::CALL;
use super::work::{split_output, units_per_part};
use super::Element;
use crate::Pool;
use std::fmt;
use std::marker::PhantomData;

/// A function of one element. A type that stands for the function, so that each use is compiled on its
/// own and vectorised.
///
/// Mark `call` `#[inline(always)]`: only then is it compiled for the CPU's widest instruction set.
pub trait UnaryFn<T, R = T>: Copy + Default + Send + Sync + 'static {
    /// About how long one element takes, which decides from what size on several threads share the
    /// work.
    const PICOSECONDS: usize;

    /// The result for `x`. `alpha` is the kernel's parameter, see [`UnaryKernel::with_alpha`].
    fn call(x: T, alpha: f64) -> R;
}

/// A function of one argument, compiled for whole slices.
///
/// ```
/// use compute::{Pool, elementwise::{Element, UnaryOp}};
/// let relu = f32::unary(UnaryOp::Relu).expect("floats have it");
/// let mut values = [-1.0, 2.0];
/// relu.run_in_place(&Pool::single(), &mut values);
/// assert_eq!(values, [0.0, 2.0]);
/// ```
pub struct UnaryKernel<T, R = T> {
    run: fn(f64, &[T], &mut [R]),
    alpha: f64,
    /// About how long one element takes.
    picoseconds: usize,
}

impl<T, R> Clone for UnaryKernel<T, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, R> Copy for UnaryKernel<T, R> {}

impl<T, R> fmt::Debug for UnaryKernel<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnaryKernel").field("alpha", &self.alpha).finish_non_exhaustive()
    }
}

dispatch! {
    fn map_vector<T: Element, R: Element, O: UnaryFn<T, R>>(_op: O, alpha: f64, input: &[T], output: &mut [R]) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = O::call(x, alpha);
        }
    }
}

/// `output[i] = O(input[i])`.
fn map<T: Element, R: Element, O: UnaryFn<T, R>>(alpha: f64, input: &[T], output: &mut [R]) {
    if const { T::VECTOR && O::PICOSECONDS < CALL } {
        map_vector(O::default(), alpha, input, output);
    } else {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = O::call(x, alpha);
        }
    }
}

/// [`map`] for the types of 16 bits: block by block in `f32`, each result rounded once.
fn map_narrow<H: Narrow, R: Element, W: Element, O: UnaryFn<f32, W>>(alpha: f64, input: &[H], output: &mut [R], store: fn(&[W], &mut [R])) {
    let (mut wide, mut results) = ([0.0; BLOCK], [W::default(); BLOCK]);
    for (input, output) in input.chunks(BLOCK).zip(output.chunks_mut(BLOCK)) {
        let (wide, results) = (&mut wide[..input.len()], &mut results[..input.len()]);
        H::widen_slice(input, wide);
        map::<f32, W, O>(alpha, wide, results);
        store(results, output);
    }
}

/// The default of TensorFlow's attribute `alpha`.
const DEFAULT_ALPHA: f64 = 0.2;

impl<T: Element, R: Element> UnaryKernel<T, R> {
    /// The kernel of a function.
    #[must_use]
    pub fn new<O: UnaryFn<T, R>>() -> Self {
        UnaryKernel {
            run: map::<T, R, O>,
            alpha: DEFAULT_ALPHA,
            picoseconds: O::PICOSECONDS,
        }
    }

    /// The same kernel with another parameter: the slope of `LeakyRelu` on the negative side. 0.2 unless
    /// set. Functions without a parameter ignore it.
    #[must_use]
    pub fn with_alpha(self, alpha: f64) -> Self {
        UnaryKernel { alpha, ..self }
    }

    /// Applies the function to every element of `input`.
    ///
    /// # Panics
    /// When the slices differ in length.
    pub fn run(&self, pool: &Pool, input: &[T], output: &mut [R]) {
        assert_eq!(input.len(), output.len(), "input and output differ in length");
        split_output(pool, output, 64, units_per_part(self.picoseconds), |range, output| {
            (self.run)(self.alpha, &input[range], output);
        });
    }

    /// About how long one element takes.
    pub(crate) fn picoseconds(&self) -> usize {
        self.picoseconds
    }

    /// Applies the function on the calling thread.
    pub(crate) fn run_block(&self, input: &[T], output: &mut [R]) {
        (self.run)(self.alpha, input, output);
    }
}

impl<T: Element> UnaryKernel<T> {
    /// Replaces every element by the function's result.
    pub fn run_in_place(&self, pool: &Pool, data: &mut [T]) {
        split_output(pool, data, 64, units_per_part(self.picoseconds), |_, data| {
            // A copy in the nearest cache costs next to nothing and saves a second compiled loop for
            // every function, type and instruction set.
            let mut copy = [T::default(); BLOCK];
            for data in data.chunks_mut(BLOCK) {
                let copy = &mut copy[..data.len()];
                copy.copy_from_slice(data);
                (self.run)(self.alpha, copy, data);
            }
        });
    }
}

/// What the types of 16 bits spend on conversion, in picoseconds for an element.
const NARROW_COST: usize = 400;

/// Turns functions on `T` into kernels of one sort.
pub(crate) trait MakeUnaryFn<T, R = T> {
    type Kernel;
    fn make<O: UnaryFn<T, R>>() -> Self::Kernel;
}

/// Kernels for the type that the function is on.
pub(crate) struct Direct;

impl<T: Element, R: Element> MakeUnaryFn<T, R> for Direct {
    type Kernel = UnaryKernel<T, R>;

    fn make<O: UnaryFn<T, R>>() -> Self::Kernel {
        UnaryKernel::new::<O>()
    }
}

/// Kernels for a type of 16 bits that compute in `f32`.
pub(crate) struct ThroughF32<H>(PhantomData<H>);

impl<H: Narrow> MakeUnaryFn<f32> for ThroughF32<H> {
    type Kernel = UnaryKernel<H>;

    fn make<O: UnaryFn<f32>>() -> Self::Kernel {
        UnaryKernel {
            run: |alpha, input, output| map_narrow::<H, H, f32, O>(alpha, input, output, H::narrow_slice),
            alpha: DEFAULT_ALPHA,
            picoseconds: O::PICOSECONDS + NARROW_COST,
        }
    }
}

impl<H: Narrow> MakeUnaryFn<f32, bool> for ThroughF32<H> {
    type Kernel = UnaryKernel<H, bool>;

    fn make<O: UnaryFn<f32, bool>>() -> Self::Kernel {
        UnaryKernel {
            run: |alpha, input, output| {
                let store: fn(&[bool], &mut [bool]) = |from, to| to.copy_from_slice(from);
                map_narrow::<H, bool, bool, O>(alpha, input, output, store);
            },
            alpha: DEFAULT_ALPHA,
            picoseconds: O::PICOSECONDS + NARROW_COST,
        }
    }
}
