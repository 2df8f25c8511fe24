//! Kernels that apply a function of two arguments to broadcast operands.

use super::narrow::{BLOCK, Narrow};
use super::unary::CALL;
use super::unary_kernel::{DEFAULT_ALPHA, Direct, NARROW_COST, ThroughF32};
use super::work::{split_output, units_per_part};
use super::{Broadcast, Element, Loops};
use crate::Pool;
use std::fmt;
use std::ops::Range;

/// A function of two elements. It is a type rather than a value, so that the loop of each function is compiled separately and vectorized.
///
/// Mark `call` as `#[inline(always)]`: otherwise it is not compiled for the widest instruction set of the CPU.
///
/// ```
/// use compute::elementwise::{BinaryFn, BinaryKernel, Broadcast};
/// use compute::Pool;
///
/// #[derive(Clone, Copy, Default)]
/// struct Midpoint;
///
/// impl BinaryFn<f32> for Midpoint {
///     const PICOSECONDS: usize = 200;
///     #[inline(always)]
///     fn call(x: f32, y: f32, _alpha: f32) -> f32 {
///         (x + y) / 2.0
///     }
/// }
///
/// let plan = Broadcast::new([&[2], &[2]])?;
/// let mut output = [0.0; 2];
/// BinaryKernel::new::<Midpoint>().run(&Pool::single(), &plan, &[1.0, 2.0], &[3.0, 6.0], &mut output)?;
/// assert_eq!(output, [2.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BinaryFn<T, R = T>: Copy + Default + Send + Sync + 'static {
    /// About how long one element takes, which decides from what size on several threads share the
    /// work.
    const PICOSECONDS: usize;

    /// Returns the result for `x` and `y`. `alpha` is the parameter of the kernel; see [`BinaryKernel::with_alpha`].
    fn call(x: T, y: T, alpha: f32) -> R;
}

/// The error of an integer operation, such as a division by zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArithmeticError {
    /// The divisor of an integer division or remainder is 0.
    DivisionByZero,
    /// The exponent of an integer power is below 0.
    NegativeExponent,
}

impl fmt::Display for ArithmeticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArithmeticError::DivisionByZero => "integer division by zero",
            ArithmeticError::NegativeExponent => "integers to negative integer powers are not allowed",
        })
    }
}

impl std::error::Error for ArithmeticError {}

/// Rows of one operand: element `j` of row `i` is `data[i * outer + j * inner]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, T> {
    /// The elements.
    pub(crate) data: &'a [T],
    /// The distance from row to row; 0 repeats one row.
    pub(crate) outer: usize,
    /// The distance from element to element in a row: 1, or 0 for a repeated value.
    pub(crate) inner: usize,
}

impl<'a, T> Rows<'a, T> {
    /// One row of neighbors.
    pub(crate) fn line(data: &'a [T]) -> Self {
        Rows { data, outer: 0, inner: 1 }
    }

    /// One value, repeated.
    pub(crate) fn repeated(data: &'a [T]) -> Self {
        Rows { data, outer: 0, inner: 0 }
    }

    /// The part of an operand that meets a range of `len` results: neighbors, or its only element.
    fn flat(data: &'a [T], range: Range<usize>, len: usize) -> Self {
        if data.len() == len { Rows::line(&data[range]) } else { Rows::repeated(data) }
    }

    /// Returns the elements from the start of a row on.
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.outer..]
    }
}

/// A compiled loop over rows of a number of columns.
type Run<T, R> = fn(Context, Rows<'_, T>, Rows<'_, T>, usize, &mut [R]);

/// A function that runs a kernel over a range of the results.
type RunRange<T, R> = fn(&BinaryKernel<T, R>, &Broadcast<2>, [&[T]; 2], Range<usize>, &mut [R]);

/// A function that runs a kernel over all results, without a plan.
type RunFlat<T, R> = fn(&BinaryKernel<T, R>, &Pool, [&[T]; 2], &mut [R]);

/// The context of a kernel's loop, besides the elements.
#[derive(Clone, Copy)]
struct Context {
    /// The parameter of operations that have one, such as a slope.
    alpha: f32,
    /// For types of 16 bits, the loop of the wide type.
    wide: Wide,
}

/// The loop of the wide type, for types of 16 bits.
#[derive(Clone, Copy)]
enum Wide {
    None,
    /// A loop with numbers as results.
    Float(Run<f32, f32>),
    /// A loop with truth values as results.
    Truth(Run<f32, bool>),
}

/// A function of two arguments, compiled for whole slices.
///
/// ```
/// use compute::{Pool, elementwise::{BinaryOp, Broadcast, Element}};
/// let add = f32::binary(BinaryOp::Add).expect("floats have it");
/// let plan = Broadcast::new([&[2, 3], &[3]])?;
/// let mut sums = [0.0; 6];
/// add.run(&Pool::single(), &plan, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[10.0, 20.0, 30.0], &mut sums)?;
/// assert_eq!(sums, [10.0, 21.0, 32.0, 13.0, 24.0, 35.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BinaryKernel<T, R = T> {
    /// The loops of the kernel.
    run: Run<T, R>,
    /// [`run_range`], as it is compiled where the kernel is made: in this crate.
    range: RunRange<T, R>,
    /// [`run_flat`], likewise.
    flat: RunFlat<T, R>,
    /// Properties of the call that the loops need.
    context: Context,
    /// About how long one element takes.
    picoseconds: usize,
    /// Finds what the function cannot do with its right operand.
    check: Option<fn(&[T]) -> Result<(), ArithmeticError>>,
}

impl<T, R> Clone for BinaryKernel<T, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, R> Copy for BinaryKernel<T, R> {}

impl<T, R> fmt::Debug for BinaryKernel<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinaryKernel").field("alpha", &self.context.alpha).finish_non_exhaustive()
    }
}

/// Rows of `cols` results each. Operands' rows are neighbors or one repeated value, but not both repeated.
/// The last row may be shorter than `cols`. Inlined into one function for each instruction set.
#[inline(always)]
fn zip_rows_body<T: Element, R: Element, O: BinaryFn<T, R>>(
    alpha: f32,
    a: Rows<'_, T>,
    b: Rows<'_, T>,
    cols: usize,
    output: &mut [R],
) {
    for (i, out) in output.chunks_mut(cols).enumerate() {
        let (a_row, b_row) = (a.row(i), b.row(i));
        // Three loops with strides that the compiler knows. One loop with strides from variables would not be
        // vectorized.
        if a.inner == 0 {
            let x = a_row[0];
            for (out, &y) in out.iter_mut().zip(b_row) {
                *out = O::call(x, y, alpha);
            }
        } else if b.inner == 0 {
            let y = b_row[0];
            for (out, &x) in out.iter_mut().zip(a_row) {
                *out = O::call(x, y, alpha);
            }
        } else {
            for ((out, &x), &y) in out.iter_mut().zip(a_row).zip(b_row) {
                *out = O::call(x, y, alpha);
            }
        }
    }
}

dispatch! {
    /// The loop over rows, as it is compiled for each instruction set.
    fn zip_rows_vector<T: Element, R: Element, O: BinaryFn<T, R>>(
        _op: O, alpha: f32, a: Rows<'_, T>, b: Rows<'_, T>, cols: usize, output: &mut [R],
    ) {
        zip_rows_body::<T, R, O>(alpha, a, b, cols, output);
    }
}

/// The loop of a function; see [`lines_only`] for what it takes.
/// It picks the copy for the widest instruction set that is compiled for the type and that the CPU has.
fn zip_rows<T: Element, R: Element, O: BinaryFn<T, R>>(
    context: Context,
    a: Rows<'_, T>,
    b: Rows<'_, T>,
    cols: usize,
    output: &mut [R],
) {
    // Decided at compile time, so that only the chosen loop is in the library.
    if const { !lines_only::<T>(O::PICOSECONDS) } {
        zip_rows_vector(O::default(), context.alpha, a, b, cols, output);
    } else if const { matches!(T::LOOPS, Loops::Avx2) && O::PICOSECONDS < CALL } {
        zip_lines_avx2(O::default(), context.alpha, a.data, b.data, output);
    } else {
        zip_lines_body::<T, R, O>(context.alpha, a.data, b.data, output);
    }
}

/// The loop over one line of neighbors from each operand.
#[inline(always)]
fn zip_lines_body<T: Element, R: Element, O: BinaryFn<T, R>>(alpha: f32, a: &[T], b: &[T], output: &mut [R]) {
    for (out, (&x, &y)) in output.iter_mut().zip(a.iter().zip(b)) {
        *out = O::call(x, y, alpha);
    }
}

dispatch_avx2! {
    /// The loop over one line of neighbors with AVX2.
    fn zip_lines_avx2<T: Element, R: Element, O: BinaryFn<T, R>>(
        _op: O, alpha: f32, a: &[T], b: &[T], output: &mut [R],
    ) {
        zip_lines_body::<T, R, O>(alpha, a, b, output);
    }
}

/// Returns true if a kernel's loop takes nothing but one line of neighbors from each operand. Then, and for
/// operands with large strides, [`zip_lines`] makes the lines: it is compiled once for a type, the
/// loops once for each function.
const fn lines_only<T: Element>(picoseconds: usize) -> bool {
    !matches!(T::LOOPS, Loops::All) || picoseconds >= CALL
}

/// Copies both operands to blocks of neighbors, and runs the loop on those.
/// Any strides are allowed here, since only `line` sees them.
fn zip_lines<T: Element, R: Element>(
    run: Run<T, R>,
    context: Context,
    a: Rows<'_, T>,
    b: Rows<'_, T>,
    cols: usize,
    output: &mut [R],
) {
    // On the stack, at most 4 KiB each: nothing is allocated, and both stay in the nearest cache.
    let (mut x, mut y) = ([T::default(); BLOCK], [T::default(); BLOCK]);
    for (i, out) in output.chunks_mut(cols).enumerate() {
        let (a_row, b_row) = (a.row(i), b.row(i));
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let x = line(&mut x, &a_row[block * BLOCK * a.inner..], a.inner, out.len());
            let y = line(&mut y, &b_row[block * BLOCK * b.inner..], b.inner, out.len());
            run(context, x, y, out.len(), out);
        }
    }
}

/// `len` elements of a row as neighbors: where they are, if that is so, or else in `block`.
fn line<'a, T: Element>(block: &'a mut [T; BLOCK], row: &'a [T], inner: usize, len: usize) -> Rows<'a, T> {
    // Neighbors already: no copy is needed.
    if inner == 1 {
        return Rows::line(&row[..len]);
    }
    let block = &mut block[..len];
    if inner == 0 {
        block.fill(row[0]);
    } else {
        for (to, &from) in block.iter_mut().zip(row.iter().step_by(inner)) {
            *to = from;
        }
    }
    Rows::line(block)
}

/// The loop of a type of 16 bits, on lines: block by block in `f32`, each result rounded once.
fn zip_narrow<H: Narrow>(context: Context, a: Rows<'_, H>, b: Rows<'_, H>, _cols: usize, output: &mut [H]) {
    // Always there: `ThroughF32` sets this loop and the wide one together.
    let Wide::Float(run) = context.wide else { return };
    let mut results = [0.0; BLOCK];
    widened(a, b, output.len(), |x, y, range| {
        let (results, output) = (&mut results[..range.len()], &mut output[range]);
        run(context, x, y, output.len(), results);
        H::narrow_slice(results, output);
    });
}

/// The same for comparisons.
fn compare_narrow<H: Narrow>(
    context: Context,
    a: Rows<'_, H>,
    b: Rows<'_, H>,
    _cols: usize,
    output: &mut [bool],
) {
    let Wide::Truth(run) = context.wide else { return };
    widened(a, b, output.len(), |x, y, range| {
        run(context, x, y, range.len(), &mut output[range]);
    });
}

/// Calls `work` with blocks of both lines as `f32`.
fn widened<H: Narrow>(
    a: Rows<'_, H>,
    b: Rows<'_, H>,
    len: usize,
    mut work: impl FnMut(Rows<'_, f32>, Rows<'_, f32>, Range<usize>),
) {
    let (mut x, mut y) = ([0.0; BLOCK], [0.0; BLOCK]);
    // The operands are whole lines here, because `lines_only` holds for types of 16 bits.
    for start in (0..len).step_by(BLOCK) {
        let range = start..len.min(start + BLOCK);
        let (x, y) = (&mut x[..range.len()], &mut y[..range.len()]);
        H::widen_slice(&a.data[range.clone()], x);
        H::widen_slice(&b.data[range.clone()], y);
        work(Rows::line(x), Rows::line(y), range);
    }
}

impl<T: Element, R: Element> BinaryKernel<T, R> {
    /// Returns the kernel of a function that is defined by a type. [`Element::binary`](super::Element::binary) returns those of TensorFlow's
    /// operations.
    #[must_use]
    pub fn new<O: BinaryFn<T, R>>() -> Self {
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::None };
        BinaryKernel::of(zip_rows::<T, R, O>, context, O::PICOSECONDS)
    }

    /// Returns the kernel of a loop.
    fn of(run: Run<T, R>, context: Context, picoseconds: usize) -> Self {
        BinaryKernel { run, range: run_range, flat: run_flat, context, picoseconds, check: None }
    }

    /// Returns the same kernel with a look at the right operand before it starts.
    pub(crate) fn with_check(self, check: fn(&[T]) -> Result<(), ArithmeticError>) -> Self {
        BinaryKernel { check: Some(check), ..self }
    }

    /// Returns the kernel with another parameter, such as the slope of `LeakyReluGrad` for negative inputs. Default: 0.2. Functions without a
    /// parameter ignore it.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f32) -> Self {
        self.context.alpha = alpha;
        self
    }

    /// Applies the function to the pairs of elements that `plan` brings together.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Broadcast, Element}};
    /// let plan = Broadcast::new([&[2, 1], &[3]])?;
    /// let add = f32::binary(BinaryOp::Add).expect("floats can be added");
    /// let mut sums = [0.0; 6];
    /// add.run(&Pool::single(), &plan, &[10.0, 20.0], &[1.0, 2.0, 3.0], &mut sums)?;
    /// assert_eq!(sums, [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ArithmeticError`] if the function does not accept an element of the right operand. Nothing is written then.
    ///
    /// # Panics
    /// Panics if the length of a slice contradicts `plan`.
    pub fn run(
        &self,
        pool: &Pool,
        plan: &Broadcast<2>,
        a: &[T],
        b: &[T],
        output: &mut [R],
    ) -> Result<(), ArithmeticError> {
        assert_eq!(a.len(), plan.operand_len(0), "left operand");
        assert_eq!(b.len(), plan.operand_len(1), "right operand");
        assert_eq!(output.len(), plan.len(), "output");
        // An empty result uses no divisor, so a 0 among them is no error.
        self.check_right(plan.is_empty(), b)?;
        split_output(
            pool,
            output,
            split_align(plan.cols()),
            units_per_part(self.picoseconds),
            |range, output| {
                (self.range)(self, plan, [a, b], range, output);
            },
        );
        Ok(())
    }

    /// Works as [`BinaryKernel::run`] for operands that need no plan: each has as many elements as the output, or one, which is
    /// repeated. For a few elements, planning takes longer than the function.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Element}};
    /// let add = f32::binary(BinaryOp::Add).expect("floats can be added");
    /// let mut sums = [0.0; 3];
    /// add.run_flat(&Pool::single(), &[1.0, 2.0, 3.0], &[10.0], &mut sums)?;
    /// assert_eq!(sums, [11.0, 12.0, 13.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BinaryKernel::run`].
    ///
    /// # Panics
    /// Panics if the length of an operand is neither 1 nor that of the output.
    pub fn run_flat(&self, pool: &Pool, a: &[T], b: &[T], output: &mut [R]) -> Result<(), ArithmeticError> {
        check_flat("left operand", a, output.len());
        check_flat("right operand", b, output.len());
        self.check_right(output.is_empty(), b)?;
        (self.flat)(self, pool, [a, b], output);
        Ok(())
    }

    /// Checks the right operands of divisions and powers, before any element is written.
    fn check_right(&self, empty: bool, b: &[T]) -> Result<(), ArithmeticError> {
        match self.check {
            Some(check) if !empty => check(b),
            _ => Ok(()),
        }
    }

    /// About how long one element takes.
    pub(crate) fn picoseconds(&self) -> usize {
        self.picoseconds
    }

    /// Applies the function on the calling thread to rows of `cols` elements.
    pub(crate) fn run_rows(&self, a: Rows<'_, T>, b: Rows<'_, T>, cols: usize, output: &mut [R]) {
        // Rows for which both operands are repeated are rare, so there is no loop for them: `zip_lines`
        // copies.
        let repeated = usize::from(a.inner == 0) + usize::from(b.inner == 0);
        let lines = a.inner == 1 && b.inner == 1;
        let direct = if lines_only::<T>(self.picoseconds) {
            lines && cols == output.len()
        } else {
            a.inner <= 1 && b.inner <= 1 && repeated <= 1
        };
        if direct {
            (self.run)(self.context, a, b, cols, output);
        } else {
            zip_lines(self.run, self.context, a, b, cols, output);
        }
    }
}

/// Computes a range of rows of the output.
/// `output` begins at `range.start`.
fn run_range<T: Element, R: Element>(
    kernel: &BinaryKernel<T, R>,
    plan: &Broadcast<2>,
    operands: [&[T]; 2],
    range: Range<usize>,
    output: &mut [R],
) {
    let start = range.start;
    // Pieces as long as possible: the loop over rows is the kernel's own, so a piece costs one call.
    plan.pieces(range, usize::MAX, |piece| {
        let [a, b] = std::array::from_fn(|k| Rows {
            data: &operands[k][piece.offsets[k]..],
            outer: plan.outer_stride(k),
            inner: plan.inner_stride(k),
        });
        let output = &mut output[piece.output.start - start..piece.output.end - start];
        kernel.run_rows(a, b, piece.cols, output);
    });
}

/// Computes all results of operands that need no plan, divided among the threads of `pool`.
fn run_flat<T: Element, R: Element>(
    kernel: &BinaryKernel<T, R>,
    pool: &Pool,
    operands: [&[T]; 2],
    output: &mut [R],
) {
    let len = output.len();
    split_output(pool, output, split_align(len), units_per_part(kernel.picoseconds), |range, output| {
        let [a, b] = operands.map(|data| Rows::flat(data, range.clone(), len));
        kernel.run_rows(a, b, output.len(), output);
    });
}

/// # Panics
/// Panics if an operand can be neither walked along with `len` results nor repeated.
#[track_caller]
fn check_flat<T>(operand: &str, data: &[T], len: usize) {
    assert!(data.len() == len || data.len() == 1, "{operand} of {} elements for {len}", data.len());
}

/// Parts are made of whole rows when rows are short, and of whole cache lines when they are long.
fn split_align(cols: usize) -> usize {
    // A thread that begins within a row has one more piece to run, which short rows would notice.
    if cols <= 4096 { cols } else { 64 }
}

impl<T: Element> BinaryKernel<T> {
    /// Works as [`BinaryKernel::run`], and writes the result over the left operand.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Broadcast, Element}};
    /// let plan = Broadcast::new([&[2, 2], &[2]])?;
    /// let multiply = i32::binary(BinaryOp::Mul).expect("integers can be multiplied");
    /// let mut data = [1, 2, 3, 4];
    /// multiply.run_in_place_left(&Pool::single(), &plan, &mut data, &[10, 100])?;
    /// assert_eq!(data, [10, 200, 30, 400]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BinaryKernel::run`].
    ///
    /// # Panics
    /// Panics if the length of a slice contradicts `plan`, or if the left operand is repeated ([`Broadcast::is_full`]).
    pub fn run_in_place_left(
        &self,
        pool: &Pool,
        plan: &Broadcast<2>,
        a: &mut [T],
        b: &[T],
    ) -> Result<(), ArithmeticError> {
        self.check_right(plan.is_empty(), b)?;
        T::run_in_place(self, pool, Some(plan), 0, a, b);
        Ok(())
    }

    /// Works as [`BinaryKernel::run_flat`], and writes the result over the left operand.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Element}};
    /// let multiply = i32::binary(BinaryOp::Mul).expect("integers can be multiplied");
    /// let mut data = [1, 2, 3];
    /// multiply.run_flat_in_place_left(&Pool::single(), &mut data, &[10])?;
    /// assert_eq!(data, [10, 20, 30]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BinaryKernel::run`].
    ///
    /// # Panics
    /// Panics if the length of the right operand is neither 1 nor that of the left one.
    pub fn run_flat_in_place_left(&self, pool: &Pool, a: &mut [T], b: &[T]) -> Result<(), ArithmeticError> {
        self.check_right(a.is_empty(), b)?;
        T::run_in_place(self, pool, None, 0, a, b);
        Ok(())
    }

    /// Works as [`BinaryKernel::run_flat`], and writes the result over the right operand.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Element}};
    /// let subtract = i32::binary(BinaryOp::Sub).expect("integers can be subtracted");
    /// let mut data = [1, 2];
    /// subtract.run_flat_in_place_right(&Pool::single(), &[10], &mut data)?;
    /// assert_eq!(data, [9, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BinaryKernel::run`].
    ///
    /// # Panics
    /// Panics if the length of the left operand is neither 1 nor that of the right one.
    pub fn run_flat_in_place_right(&self, pool: &Pool, a: &[T], b: &mut [T]) -> Result<(), ArithmeticError> {
        self.check_right(b.is_empty(), b)?;
        T::run_in_place(self, pool, None, 1, b, a);
        Ok(())
    }

    /// Works as [`BinaryKernel::run`], and writes the result over the right operand.
    ///
    /// ```
    /// use compute::{Pool, elementwise::{BinaryOp, Broadcast, Element}};
    /// let plan = Broadcast::new([&[1], &[2]])?;
    /// let subtract = i32::binary(BinaryOp::Sub).expect("integers can be subtracted");
    /// let mut data = [1, 2];
    /// subtract.run_in_place_right(&Pool::single(), &plan, &[10], &mut data)?;
    /// assert_eq!(data, [9, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BinaryKernel::run`].
    ///
    /// # Panics
    /// Panics if the length of a slice contradicts `plan`, or if the right operand is repeated ([`Broadcast::is_full`]).
    pub fn run_in_place_right(
        &self,
        pool: &Pool,
        plan: &Broadcast<2>,
        a: &[T],
        b: &mut [T],
    ) -> Result<(), ArithmeticError> {
        self.check_right(plan.is_empty(), b)?;
        T::run_in_place(self, pool, Some(plan), 1, b, a);
        Ok(())
    }

    /// `side` is the operand that is replaced. A block of it is copied to the nearest cache first, which
    /// costs next to nothing and saves two more compiled loops for every function, type and
    /// instruction set. Without a plan, the other operand is as long or has one element.
    pub(crate) fn run_in_place(
        &self,
        pool: &Pool,
        plan: Option<&Broadcast<2>>,
        side: usize,
        data: &mut [T],
        other: &[T],
    ) {
        let len = data.len();
        let least = units_per_part(self.picoseconds);
        let Some(plan) = plan else {
            check_flat("other operand", other, len);
            // Too few to be worth dividing, so the threads are not asked either.
            if len <= FEW {
                return self.flat_in_place::<FEW>(side, data, other, 0..len, len);
            }
            split_output(pool, data, split_align(len), least, |range, data| {
                self.flat_in_place::<BLOCK>(side, data, other, range, len);
            });
            return;
        };
        assert!(plan.is_full(side), "the operand in place of the output is repeated");
        assert_eq!(len, plan.len(), "operand in place of the output");
        assert_eq!(other.len(), plan.operand_len(1 - side), "other operand");
        split_output(pool, data, split_align(plan.cols()), least, |range, data| {
            let start = range.start;
            let mut copy = [T::default(); BLOCK];
            // At most a block, since the copy holds no more.
            plan.pieces(range, BLOCK, |piece| {
                let data = &mut data[piece.output.start - start..piece.output.end - start];
                let other = Rows {
                    data: &other[piece.offsets[1 - side]..],
                    outer: plan.outer_stride(1 - side),
                    inner: plan.inner_stride(1 - side),
                };
                self.replace(side, &mut copy, data, other, piece.cols);
            });
        });
    }

    /// Replaces the elements of a range of all `len`, in blocks.
    fn flat_in_place<const SIZE: usize>(
        &self,
        side: usize,
        data: &mut [T],
        other: &[T],
        range: Range<usize>,
        len: usize,
    ) {
        let mut copy = [T::default(); SIZE];
        for (block, data) in data.chunks_mut(SIZE).enumerate() {
            let start = range.start + block * SIZE;
            let other = Rows::flat(other, start..start + data.len(), len);
            self.replace(side, &mut copy, data, other, data.len());
        }
    }

    /// Replaces one block of the operand of a side, in rows of `cols` elements.
    fn replace(&self, side: usize, copy: &mut [T], data: &mut [T], other: Rows<'_, T>, cols: usize) {
        let copy = &mut copy[..data.len()];
        copy.copy_from_slice(data);
        // The copy is read and the original written, so that nothing is borrowed twice.
        let own = Rows { data: copy, outer: cols, inner: 1 };
        let (a, b) = if side == 0 { (own, other) } else { (other, own) };
        self.run_rows(a, b, cols, data);
    }
}

/// So few elements are replaced with a small block: clearing a large one takes longer than the function.
const FEW: usize = 8;

/// Turns functions on `T` into kernels of one sort.
pub(crate) trait MakeBinaryFn<T, R = T> {
    /// The type of the kernel.
    type Kernel;
    /// Makes the kernel of an operation.
    fn make<O: BinaryFn<T, R>>() -> Self::Kernel;
}

impl<T: Element, R: Element> MakeBinaryFn<T, R> for Direct {
    type Kernel = BinaryKernel<T, R>;

    fn make<O: BinaryFn<T, R>>() -> Self::Kernel {
        BinaryKernel::new::<O>()
    }
}

impl<H: Narrow> MakeBinaryFn<f32> for ThroughF32<H> {
    type Kernel = BinaryKernel<H>;

    fn make<O: BinaryFn<f32>>() -> Self::Kernel {
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::Float(zip_rows::<f32, f32, O>) };
        BinaryKernel::of(zip_narrow, context, O::PICOSECONDS + NARROW_COST)
    }
}

impl<H: Narrow> MakeBinaryFn<f32, bool> for ThroughF32<H> {
    type Kernel = BinaryKernel<H, bool>;

    fn make<O: BinaryFn<f32, bool>>() -> Self::Kernel {
        let context = Context { alpha: DEFAULT_ALPHA, wide: Wide::Truth(zip_rows::<f32, bool, O>) };
        BinaryKernel::of(compare_narrow, context, O::PICOSECONDS + NARROW_COST)
    }
}
