//! Kernels that apply a function of one argument to every element.

use super::narrow::{BLOCK, Narrow};
use super::unary::CALL;
use super::work::{split_output, units_per_part};
use super::{Element, Loops};
use crate::Pool;
use std::fmt;
use std::marker::PhantomData;

/// A function of one element. It is a type rather than a value, so that the loop of each function is compiled separately and vectorized.
///
/// Mark `call` as `#[inline(always)]`: otherwise it is not compiled for the widest instruction set of the CPU.
///
/// ```
/// use compute::{Pool, elementwise::{UnaryFn, UnaryKernel}};
///
/// #[derive(Clone, Copy, Default)]
/// struct Halve;
///
/// impl UnaryFn<f32> for Halve {
///     const PICOSECONDS: usize = 100;
///     #[inline(always)]
///     fn call(x: f32, _alpha: f32) -> f32 {
///         x / 2.0
///     }
/// }
///
/// let mut data = [1.0, 2.0];
/// UnaryKernel::new::<Halve>().run_in_place(&Pool::single(), &mut data);
/// assert_eq!(data, [0.5, 1.0]);
/// ```
pub trait UnaryFn<T, R = T>: Copy + Default + Send + Sync + 'static {
    /// About how long one element takes, which decides from what size on several threads share the
    /// work.
    const PICOSECONDS: usize;

    /// Returns the result for `x`. `alpha` is the parameter of the kernel; see [`UnaryKernel::with_alpha`].
    fn call(x: T, alpha: f32) -> R;
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
    /// The loop, compiled for the function and the type.
    run: fn(Context, &[T], &mut [R]),
    /// [`run_all`], as it is compiled where the kernel is made: in this crate.
    all: RunAll<T, R>,
    /// The parameter of the function, and the wide loop.
    context: Context,
    /// About how long one element takes.
    picoseconds: usize,
}

/// A function that runs a kernel on all elements.
type RunAll<T, R> = fn(&UnaryKernel<T, R>, &Pool, &[T], &mut [R]);

/// The context of a kernel's loop, besides the elements.
#[derive(Clone, Copy)]
struct Context {
    /// The parameter of operations that have one, such as a slope.
    alpha: f32,
    /// For the types of 16 bits, the loop of the wide type.
    wide: Wide,
}

/// The loop of the wide type, for types of 16 bits.
#[derive(Clone, Copy)]
enum Wide {
    None,
    /// A loop with numbers as results.
    Float(fn(Context, &[f32], &mut [f32])),
    /// A loop with truth values as results.
    Truth(fn(Context, &[f32], &mut [bool])),
}

impl<T, R> Clone for UnaryKernel<T, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, R> Copy for UnaryKernel<T, R> {}

impl<T, R> fmt::Debug for UnaryKernel<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnaryKernel").field("alpha", &self.context.alpha).finish_non_exhaustive()
    }
}

/// The loop itself, which is inlined into one copy for each instruction set.
#[inline(always)]
fn map_body<T: Element, R: Element, O: UnaryFn<T, R>>(alpha: f32, input: &[T], output: &mut [R]) {
    for (out, &x) in output.iter_mut().zip(input) {
        *out = O::call(x, alpha);
    }
}

dispatch! {
    /// The loop over a slice, as it is compiled for each instruction set.
    fn map_vector<T: Element, R: Element, O: UnaryFn<T, R>>(_op: O, alpha: f32, input: &[T], output: &mut [R]) {
        map_body::<T, R, O>(alpha, input, output);
    }
}

dispatch_avx2! {
    /// The loop over a slice with AVX2.
    fn map_avx2<T: Element, R: Element, O: UnaryFn<T, R>>(_op: O, alpha: f32, input: &[T], output: &mut [R]) {
        map_body::<T, R, O>(alpha, input, output);
    }
}

/// `output[i] = O(input[i])`.
/// Picks the loop for the widest instruction set that is compiled for the type and that the CPU has.
fn map<T: Element, R: Element, O: UnaryFn<T, R>>(context: Context, input: &[T], output: &mut [R]) {
    // Only functions of a few vector instructions gain from a loop for each instruction set; a call takes as
    // long in all of them.
    if const { matches!(T::LOOPS, Loops::All) && O::PICOSECONDS < CALL } {
        map_vector(O::default(), context.alpha, input, output);
    } else if const { matches!(T::LOOPS, Loops::Avx2) && O::PICOSECONDS < CALL } {
        map_avx2(O::default(), context.alpha, input, output);
    } else {
        map_body::<T, R, O>(context.alpha, input, output);
    }
}

/// The loop of a type of 16 bits: block by block in `f32`, each result rounded once.
fn map_narrow<H: Narrow>(context: Context, input: &[H], output: &mut [H]) {
    // Always there: `ThroughF32` sets this loop and the wide one together.
    let Wide::Float(run) = context.wide else { return };
    let (mut wide, mut results) = ([0.0; BLOCK], [0.0; BLOCK]);
    for (input, output) in input.chunks(BLOCK).zip(output.chunks_mut(BLOCK)) {
        let (wide, results) = (&mut wide[..input.len()], &mut results[..input.len()]);
        H::widen_slice(input, wide);
        run(context, wide, results);
        H::narrow_slice(results, output);
    }
}

/// The same for truth values.
fn test_narrow<H: Narrow>(context: Context, input: &[H], output: &mut [bool]) {
    let Wide::Truth(run) = context.wide else { return };
    let mut wide = [0.0; BLOCK];
    for (input, output) in input.chunks(BLOCK).zip(output.chunks_mut(BLOCK)) {
        let wide = &mut wide[..input.len()];
        H::widen_slice(input, wide);
        run(context, wide, output);
    }
}

/// The default of TensorFlow's attribute `alpha`.
pub(super) const DEFAULT_ALPHA: f32 = 0.2;

impl<T: Element, R: Element> UnaryKernel<T, R> {
    /// Returns the kernel of a function that is defined by a type. [`Element::unary`](super::Element::unary) returns those of TensorFlow's
    /// operations.
    #[must_use]
    pub fn new<O: UnaryFn<T, R>>() -> Self {
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::None };
        UnaryKernel { run: map::<T, R, O>, all: run_all, context, picoseconds: O::PICOSECONDS }
    }

    /// Returns the kernel with another parameter, such as the slope of `LeakyRelu` for negative inputs. Default: 0.2. Functions without a
    /// parameter ignore it.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{Element, UnaryOp}};
    /// let leaky = f32::unary(UnaryOp::LeakyRelu).expect("floats have it").with_alpha(0.5);
    /// let mut data = [-2.0, 2.0];
    /// leaky.run_in_place(&Pool::single(), &mut data);
    /// assert_eq!(data, [-1.0, 2.0]);
    /// ```
    #[must_use]
    pub fn with_alpha(mut self, alpha: f32) -> Self {
        self.context.alpha = alpha;
        self
    }

    /// Applies the function to every element of `input`.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{Element, UnaryOp}};
    /// let square = i32::unary(UnaryOp::Square).expect("integers have it");
    /// let mut output = [0; 3];
    /// square.run(&Pool::single(), &[1, -2, 3], &mut output);
    /// assert_eq!(output, [1, 4, 9]);
    /// ```
    ///
    /// # Panics
    /// Panics if the slices differ in length.
    pub fn run(&self, pool: &Pool, input: &[T], output: &mut [R]) {
        assert_eq!(input.len(), output.len(), "input and output differ in length");
        (self.all)(self, pool, input, output);
    }

    /// About how long one element takes.
    pub(crate) fn picoseconds(&self) -> usize {
        self.picoseconds
    }

    /// Applies the function on the calling thread.
    pub(crate) fn run_block(&self, input: &[T], output: &mut [R]) {
        (self.run)(self.context, input, output);
    }
}

/// Applies the kernel to all elements, on several threads.
fn run_all<T: Element, R: Element>(kernel: &UnaryKernel<T, R>, pool: &Pool, input: &[T], output: &mut [R]) {
    split_output(pool, output, 64, units_per_part(kernel.picoseconds), |range, output| {
        (kernel.run)(kernel.context, &input[range], output);
    });
}

impl<T: Element> UnaryKernel<T> {
    /// Replaces every element by the result of the function.
    pub fn run_in_place(&self, pool: &Pool, data: &mut [T]) {
        T::map_in_place(self, pool, data);
    }

    /// Applies the kernel to all elements, in place.
    pub(crate) fn map_in_place(&self, pool: &Pool, data: &mut [T]) {
        split_output(pool, data, 64, units_per_part(self.picoseconds), |_, data| {
            // A copy in the nearest cache costs next to nothing and saves a second compiled loop for
            // every function, type and instruction set.
            let mut copy = [T::default(); BLOCK];
            for data in data.chunks_mut(BLOCK) {
                let copy = &mut copy[..data.len()];
                copy.copy_from_slice(data);
                (self.run)(self.context, copy, data);
            }
        });
    }
}

/// The cost of conversion for 16-bit types, in picoseconds per element.
pub(super) const NARROW_COST: usize = 500;

/// Turns functions on `T` into kernels of one sort.
pub(crate) trait MakeUnaryFn<T, R = T> {
    /// The type of the kernel.
    type Kernel;
    /// Makes the kernel of an operation.
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
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::Float(map::<f32, f32, O>) };
        UnaryKernel { run: map_narrow, all: run_all, context, picoseconds: O::PICOSECONDS + NARROW_COST }
    }
}

impl<H: Narrow> MakeUnaryFn<f32, bool> for ThroughF32<H> {
    type Kernel = UnaryKernel<H, bool>;

    fn make<O: UnaryFn<f32, bool>>() -> Self::Kernel {
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::Truth(map::<f32, bool, O>) };
        UnaryKernel { run: test_narrow, all: run_all, context, picoseconds: O::PICOSECONDS + NARROW_COST }
    }
}
