//! Fourier transforms along the last axes.
//!
//! # Semantics
//!
//! The transforms run along the last one, two or three axes; others are a batch. Inverse transforms divide by
//! the number of elements. `RFFT` takes real numbers and returns the `n / 2 + 1` frequencies that are not
//! conjugates of others; `fft_length` pads with zeros or truncates. Lengths need not be powers of two.
//!
//! - `FFT*` and `IFFT*` keep the shape, `complex64` or `complex128`. The `Batch*` names are older ones.
//! - `IRFFT` takes the first `n / 2 + 1` frequencies of each row and returns `n` real numbers; the imaginary
//!   parts of the constant and, for even `n`, the highest frequency have no influence.
//! - `fft_length` has a length for each transformed axis. `RFFT` needs an input at least as large (the
//!   padding is done by the graph), and takes the beginning of each axis. A length of 0 gives an empty
//!   result.
//! - Too low a rank, and lengths that are negative or too large, are `InvalidArgument`.
//!
//! A transform of `n` elements along one axis takes `n log n` steps for every `n`, prime ones included. The
//! library `rustfft` plans each length once; plans are kept in the kernel. Rows are transformed one after the
//! other on the calling thread, so results do not depend on the pool. They agree with TensorFlow's to
//! rounding, not in every bit.
//!
//! ```text
//! RFFT of [1, 2, 3, 4]            ->   [10, -2 + 2i, -2]
//! IRFFT of [10, -2 + 2i, -2]      ->   [1, 2, 3, 4]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::math::Real;
use rustfft::{FftDirection, FftNum, FftPlanner};
use session_core::{Error, Result};
use std::sync::{Mutex, PoisonError};
use tensor::{Complex, DType, Element, Shape, memory};

/// Registers the op types of all ranks.
pub(super) fn register(registry: &mut Registry) {
    const FORWARD: FftDirection = FftDirection::Forward;
    const INVERSE: FftDirection = FftDirection::Inverse;
    registry.add_both(["FFT", "BatchFFT"], |spec| between_complex(spec, 1, FORWARD));
    registry.add_both(["FFT2D", "BatchFFT2D"], |spec| between_complex(spec, 2, FORWARD));
    registry.add_both(["FFT3D", "BatchFFT3D"], |spec| between_complex(spec, 3, FORWARD));
    registry.add_both(["IFFT", "BatchIFFT"], |spec| between_complex(spec, 1, INVERSE));
    registry.add_both(["IFFT2D", "BatchIFFT2D"], |spec| between_complex(spec, 2, INVERSE));
    registry.add_both(["IFFT3D", "BatchIFFT3D"], |spec| between_complex(spec, 3, INVERSE));
    registry.add("RFFT", |spec| of_reals(spec, 1));
    registry.add("RFFT2D", |spec| of_reals(spec, 2));
    registry.add("RFFT3D", |spec| of_reals(spec, 3));
    registry.add("IRFFT", |spec| to_reals(spec, 1));
    registry.add("IRFFT2D", |spec| to_reals(spec, 2));
    registry.add("IRFFT3D", |spec| to_reals(spec, 3));
}

/// A number whose transforms are computed in its own precision.
trait Part: Element + FftNum + Real {}

impl<T: Element + FftNum + Real> Part for T {}

/// Transforms in one direction, with the plans for the lengths so far.
///
/// A kernel has one for each direction it uses. Lengths may change from run to run, so plans are made when a
/// length first occurs.
struct Transform<T: Part> {
    /// Guards the plans while one is looked up or made.
    planner: Mutex<FftPlanner<T>>,
    /// Forward or inverse; neither divides.
    direction: FftDirection,
}

impl<T: Part> Transform<T>
where
    Complex<T>: Element,
{
    /// Returns transforms without any plan.
    fn new(direction: FftDirection) -> Transform<T> {
        Transform { planner: Mutex::new(FftPlanner::new()), direction }
    }

    /// Transforms the last axes of an array in place. An inverse is divided by the number of elements.
    ///
    /// `lengths` are the sizes of the last axes of `values`, which may be any number of such arrays. The axes
    /// are transformed one after the other, which is the same as all at once.
    fn run(&self, context: &KernelContext<'_>, values: &mut [Complex<T>], lengths: &[usize]) -> Result<()> {
        let elements: usize = lengths.iter().product();
        if elements == 0 || values.is_empty() {
            return Ok(());
        }
        for axis in (0..lengths.len()).rev() {
            self.along(context, values, lengths[axis], lengths[axis + 1..].iter().product())?;
        }
        if self.direction == FftDirection::Inverse {
            let share = T::of(1.0 / elements as f64);
            values.iter_mut().for_each(|value| *value = value.scale(share));
        }
        Ok(())
    }

    /// Transforms along one axis, whose elements are `stride` apart.
    ///
    /// `values` consists of blocks of `length * stride` elements. Nothing is divided. Fails if the memory
    /// limit does not allow the working memory.
    fn along(
        &self,
        context: &KernelContext<'_>,
        values: &mut [Complex<T>],
        length: usize,
        stride: usize,
    ) -> Result<()> {
        if length == 1 || values.is_empty() {
            return Ok(());
        }
        // A transform of a large prime length needs several times its length.
        memory::check(length.saturating_mul(8 * size_of::<Complex<T>>()))?;
        let plan =
            self.planner.lock().unwrap_or_else(PoisonError::into_inner).plan_fft(length, self.direction);
        let mut scratch = memory::filled(Complex::default(), plan.get_inplace_scratch_len())?;
        let mut line = memory::filled(Complex::default(), if stride == 1 { 0 } else { length })?;
        let mut watch = context.watch();
        for block in values.chunks_exact_mut(length * stride) {
            watch.tick(block.len())?;
            // Rows are in place; along other axes a line is copied out and back, because the library wants
            // contiguous elements.
            if stride == 1 {
                plan.process_with_scratch(block, &mut scratch);
                continue;
            }
            for start in 0..stride {
                let places = (start..block.len()).step_by(stride);
                line.iter_mut().zip(places.clone()).for_each(|(to, place)| *to = block[place]);
                plan.process_with_scratch(&mut line, &mut scratch);
                line.iter().zip(places).for_each(|(&from, place)| block[place] = from);
            }
        }
        Ok(())
    }
}

/// Returns the axes before the last ones, and the last ones.
///
/// Fails with `InvalidArgument` if there are fewer than `axes`.
fn split(shape: &Shape, axes: usize) -> Result<(&[usize], &[usize])> {
    match shape.rank().checked_sub(axes) {
        Some(before) => Ok(shape.split_at(before)),
        None => Err(Error::invalid_argument(format!(
            "input must have rank of at least {axes}, but got shape {shape}"
        ))),
    }
}

/// Returns the lengths in input 1.
///
/// There must be `axes` of them, none negative. A scalar counts as one length.
fn lengths(context: &KernelContext<'_>, axes: usize) -> Result<Vec<usize>> {
    let lengths = context.ints(1)?;
    let known: Option<Vec<usize>> = lengths.iter().map(|&length| usize::try_from(length).ok()).collect();
    known.filter(|known| known.len() == axes).ok_or_else(|| {
        Error::invalid_argument(format!("fft_length must be {axes} numbers of at least 0, got {lengths:?}"))
    })
}

/// Fails if an axis of the input is shorter than needed.
fn check_lengths(given: &[usize], needed: &[usize]) -> Result<()> {
    if given.iter().zip(needed).any(|(given, needed)| given < needed) {
        let text = format!(
            "the last axes of the input, {given:?}, must have at least the sizes {needed:?} for fft_length"
        );
        return Err(Error::invalid_argument(text));
    }
    Ok(())
}

/// Copies the beginning of each of the last axes to an array of other sizes, each row by `copy`.
///
/// `from_sizes` and `to_sizes` are the sizes of the last axes of both, of one rank; any number of such arrays
/// follow each other. Rows of `to` beyond `from` are not touched, so their caller fills them first.
///
/// `copy` gets a whole row of each. With sizes `[2, 3]` and `[3, 2]` it is called for the first two rows of
/// `to`, each with 3 elements of `from` and 2 of `to`.
fn copy_rows<A: Copy, B>(
    from: &[A],
    from_sizes: &[usize],
    to: &mut [B],
    to_sizes: &[usize],
    copy: impl Fn(&[A], &mut [B]),
) {
    let (Some((&from_row, from_rows)), Some((&to_row, to_rows))) =
        (from_sizes.split_last(), to_sizes.split_last())
    else {
        return;
    };
    if from_row == 0 || to_row == 0 {
        return;
    }
    let (from_rows_count, to_rows_count): (usize, usize) =
        (from_rows.iter().product(), to_rows.iter().product());
    for (at, row) in to.chunks_exact_mut(to_row).enumerate() {
        // The coordinates of the row in its array, from the last axis to the first, and the row of `from`
        // that has the same ones.
        let (block, mut rest) = (at / to_rows_count, at % to_rows_count);
        let (mut place, mut stride, mut inside) = (block * from_rows_count, 1, true);
        for (&size, &given) in to_rows.iter().zip(from_rows).rev() {
            inside &= rest % size < given;
            place += rest % size * stride;
            (rest, stride) = (rest / size, stride * given);
        }
        if inside {
            copy(&from[place * from_row..][..from_row], row);
        }
    }
}

/// Returns the error for dtypes that do not belong together.
fn unsupported(dtype: DType) -> Error {
    crate::dispatch::unsupported(dtype)
}

/// Returns the kernel of `FFT*` or `IFFT*`, which works in the output.
///
/// The output is a copy of the input, transformed in place along the last `axes` axes.
fn between_complex(spec: &NodeSpec<'_>, axes: usize, direction: FftDirection) -> Result<Box<dyn Kernel>> {
    fn made<T: Part>(axes: usize, direction: FftDirection) -> Box<dyn Kernel>
    where
        Complex<T>: Element,
    {
        let transform = Transform::<T>::new(direction);
        boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let lengths = split(&shape, axes)?.1.to_vec();
            context.produce::<Complex<T>>(0, shape, |context, output| {
                output.copy_from_slice(context.slice(0)?);
                transform.run(context, output, &lengths)
            })
        })
    }
    match spec.input_dtype(0) {
        DType::Complex64 => Ok(made::<f32>(axes, direction)),
        DType::Complex128 => Ok(made::<f64>(axes, direction)),
        other => Err(unsupported(other)),
    }
}

/// Returns the kernel of `RFFT*`, which keeps half of the frequencies of real numbers: the others are their
/// conjugates.
///
/// The numbers are transformed as complex ones with imaginary parts of 0.
///
/// The steps are: copy each row, as far as `fft_length` reaches, into an array of complex numbers; transform
/// it in place; copy the first `n / 2 + 1` numbers of each row to the output. The array has two numbers for
/// each element.
fn of_reals(spec: &NodeSpec<'_>, axes: usize) -> Result<Box<dyn Kernel>> {
    fn made<T: Part>(axes: usize) -> Box<dyn Kernel>
    where
        Complex<T>: Element,
    {
        let transform = Transform::<T>::new(FftDirection::Forward);
        boxed(move |context| {
            let (shape, lengths) = (context.input(0).shape().clone(), lengths(context, axes)?);
            let (batch, given) = split(&shape, axes)?;
            check_lengths(given, &lengths)?;
            // A transform of no elements has no frequency, not even the constant one.
            let mut halved = lengths.clone();
            halved[axes - 1] = if lengths[axes - 1] == 0 { 0 } else { lengths[axes - 1] / 2 + 1 };
            let dims = |last: &[usize]| batch.iter().chain(last).copied().collect::<Shape>();
            let mut values = memory::filled(Complex::<T>::default(), dims(&lengths).elements())?;
            copy_rows(context.slice::<T>(0)?, given, &mut values, &lengths, |from, to| {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = Complex::new(from, T::of(0.0)));
            });
            transform.run(context, &mut values, &lengths)?;
            context.produce::<Complex<T>>(0, dims(&halved), |_, output| {
                copy_rows(&values, &lengths, output, &halved, |from, to| {
                    to.copy_from_slice(&from[..to.len()])
                });
                Ok(())
            })
        })
    }
    match (spec.input_dtype(0), spec.dtype("Tcomplex")?) {
        (DType::Float32, DType::Complex64) => Ok(made::<f32>(axes)),
        (DType::Float64, DType::Complex128) => Ok(made::<f64>(axes)),
        (_, other) => Err(unsupported(other)),
    }
}

/// Returns the kernel of `IRFFT*`.
///
/// A full spectrum is built from the half: along the last axis frequency `n - k` is the conjugate of
/// frequency `k`. The result is divided by the number of elements at once.
fn to_reals(spec: &NodeSpec<'_>, axes: usize) -> Result<Box<dyn Kernel>> {
    fn made<T: Part>(axes: usize) -> Box<dyn Kernel>
    where
        Complex<T>: Element,
    {
        let outer = Transform::<T>::new(FftDirection::Inverse);
        let inner = Transform::<T>::new(FftDirection::Inverse);
        boxed(move |context| {
            let (shape, lengths) = (context.input(0).shape().clone(), lengths(context, axes)?);
            let (batch, given) = split(&shape, axes)?;
            let last = lengths[axes - 1];
            let mut halved = lengths.clone();
            halved[axes - 1] = if last == 0 { 0 } else { last / 2 + 1 };
            check_lengths(given, &halved)?;
            let dims = |last: &[usize]| batch.iter().chain(last).copied().collect::<Shape>();
            let mut half = memory::filled(Complex::<T>::default(), dims(&halved).elements())?;
            copy_rows(context.slice::<Complex<T>>(0)?, given, &mut half, &halved, |from, to| {
                to.copy_from_slice(&from[..to.len()]);
            });
            // The other axes first: afterwards each row is the half of a row with conjugates. Before that,
            // conjugates are mirrored along all axes at once.
            let outer_size: usize = lengths[..axes - 1].iter().product();
            for axis in (0..axes - 1).rev() {
                outer.along(context, &mut half, halved[axis], halved[axis + 1..].iter().product())?;
            }
            let mut rows = memory::filled(Complex::<T>::default(), dims(&lengths).elements())?;
            if last > 0 {
                for (row, half) in rows.chunks_exact_mut(last).zip(half.chunks_exact(last / 2 + 1)) {
                    for (at, value) in row.iter_mut().enumerate() {
                        // For an even length, the frequency in the middle is its own conjugate and occurs
                        // once.
                        *value = if at <= last / 2 { half[at] } else { half[last - at].conj() };
                    }
                }
                inner.along(context, &mut rows, last, 1)?;
            }
            let share = T::of(1.0 / (outer_size * last).max(1) as f64);
            context.produce::<T>(0, dims(&lengths), |_, output| {
                output.iter_mut().zip(&rows).for_each(|(to, from)| *to = from.re * share);
                Ok(())
            })
        })
    }
    match (spec.input_dtype(0), spec.dtype("Treal")?) {
        (DType::Complex64, DType::Float32) => Ok(made::<f32>(axes)),
        (DType::Complex128, DType::Float64) => Ok(made::<f64>(axes)),
        (other, _) => Err(unsupported(other)),
    }
}
