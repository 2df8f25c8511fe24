//! Kernels for products with few columns, in which a vector of columns would be mostly empty.
//!
//! [`dots`] has the lanes run along the sums, [`turn`] transposes: results that were computed with rows
//! and columns exchanged, and operands.
#![allow(unsafe_code)] // called through the pointers of a kernel table

use super::Real;
use super::sealed::Element as _;
use super::vector::Vector;

/// Dot products of some rows of `a` with some rows of `b`, both contiguous.
pub(crate) struct Dots<T> {
    /// The first row of the left operand.
    pub(crate) a: *const T,
    /// Elements from a row to the next.
    pub(crate) a_stride: usize,
    /// The first row of the right operand.
    pub(crate) b: *const T,
    /// Elements from a row of `b` to the next.
    pub(crate) b_stride: usize,
    /// Elements of a row.
    pub(crate) len: usize,
    /// The first element of the result.
    pub(crate) c: *mut T,
    /// Elements from a row of the result to the next.
    pub(crate) c_stride: usize,
    /// The steps after the sum.
    pub(crate) finish: Finish<T>,
}

/// A matrix to be transposed.
pub(crate) struct Turn<T> {
    /// The first element of the source.
    pub(crate) from: *const T,
    /// Elements from a row of the source to the next.
    pub(crate) from_stride: usize,
    /// The number of rows of the source.
    pub(crate) rows: usize,
    /// The number of columns of the source.
    pub(crate) columns: usize,
    /// The first element of the destination.
    pub(crate) to: *mut T,
    /// Elements from a row of the destination to the next.
    pub(crate) to_stride: usize,
    /// The steps after the transposition.
    pub(crate) finish: Finish<T>,
}

/// The way in which sums are stored in the result.
#[derive(Clone, Copy)]
pub(crate) struct Finish<T> {
    /// Add to what the result holds.
    pub(crate) accumulate: bool,
    /// A value for every column of the result that is written, or null.
    pub(crate) bias: *const T,
    /// True to replace negative results by 0.
    pub(crate) relu: bool,
}

impl<T> Finish<T> {
    /// Stores the sums as they are.
    pub(crate) const NONE: Finish<T> = Finish { accumulate: false, bias: std::ptr::null(), relu: false };
}

/// Computes the dot products of as many rows of either side as the kernel is for.
///
/// # Safety
/// The CPU has the instruction set of the kernels that the function comes from; the rows are readable,
/// the result is writable (and initialized if it is added to), and a bias has a value for each row of `b`.
pub(crate) type DotsFn<T> = unsafe fn(&Dots<T>);

/// Transposes a matrix.
///
/// # Safety
/// As for [`DotsFn`], with a bias of a value for each row of the source.
pub(crate) type TurnFn<T> = unsafe fn(&Turn<T>);

/// Rows of `a` that share the loads of a row of `b`, and rows of `b`.
///
/// # Safety
/// See [`DotsFn`].
#[inline(always)]
pub(super) unsafe fn dots<V: Vector<Elem: Real>, const R: usize, const N: usize>(dots: &Dots<V::Elem>) {
    let whole = dots.len / V::LANES * V::LANES;
    // SAFETY: all offsets are inside the rows that the caller promises.
    unsafe {
        let mut sums = [[V::zero(); N]; R];
        let mut at = 0;
        while at < whole {
            let load = |from: *const V::Elem| V::load(from.add(at));
            step::<V, R, N>(dots, &mut sums, load);
            at += V::LANES;
        }
        // Lanes beyond the end are zero in both operands, so they add nothing.
        if whole < dots.len {
            let load = |from: *const V::Elem| V::load_first(from.add(whole), dots.len - whole);
            step::<V, R, N>(dots, &mut sums, load);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                // The lanes are added once at the end, in the order of the vector type, which is part of the
                // bits of an instruction set.
                store(sum.total(), j, dots.c.add(i * dots.c_stride + j), &dots.finish);
            }
        }
    }
}

/// Adds one vector of every row to the sums.
///
/// # Safety
/// `load` may be called for every row.
#[inline(always)]
unsafe fn step<V: Vector, const R: usize, const N: usize>(
    dots: &Dots<V::Elem>,
    sums: &mut [[V; N]; R],
    load: impl Fn(*const V::Elem) -> V,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut a = [V::zero(); R];
        for (i, a) in a.iter_mut().enumerate() {
            *a = load(dots.a.add(i * dots.a_stride));
        }
        for j in 0..N {
            let b = load(dots.b.add(j * dots.b_stride));
            for i in 0..R {
                sums[i][j] = a[i].fma(b, sums[i][j]);
            }
        }
    }
}

/// Stores one sum, of column `column`.
///
/// # Safety
/// `to` is writable and `finish` holds what it needs.
#[inline(always)]
unsafe fn store<T: Real>(sum: T, column: usize, to: *mut T, finish: &Finish<T>) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut x = sum;
        if finish.accumulate {
            x = T::add(x, *to);
        }
        if !finish.bias.is_null() {
            x = T::add(x, *finish.bias.add(column));
        }
        // A comparison and not a maximum: NaN is not below zero and stays.
        *to = if finish.relu && x < T::zero() { T::zero() } else { x };
    }
}

/// Elements of the largest square that is transposed at a time.
const SQUARE: usize = 256;

/// Transposes by squares of vectors.
///
/// # Safety
/// See [`TurnFn`].
#[inline(always)]
pub(super) unsafe fn turn<V: Vector<Elem: Real>>(turn: &Turn<V::Elem>) {
    let mut squares = [[V::Elem::zero(); SQUARE]; 2];
    let [source, turned] = &mut squares;
    for column in (0..turn.columns).step_by(V::LANES) {
        let width = (turn.columns - column).min(V::LANES);
        for row in (0..turn.rows).step_by(V::LANES) {
            let height = (turn.rows - row).min(V::LANES);
            // SAFETY: a square has `LANES` rows of `LANES`; all other offsets are inside the matrices
            // that the caller promises.
            unsafe {
                for i in 0..height {
                    let from = turn.from.add((row + i) * turn.from_stride + column);
                    // Through a square in memory: rows at the edges are shorter than a vector, which a
                    // transposition in registers cannot take.
                    V::load_first(from, width).store(source.as_mut_ptr().add(i * V::LANES));
                }
                V::transpose(source.as_ptr(), V::LANES, turned.as_mut_ptr(), V::LANES);
                let bias = match turn.finish.bias.is_null() {
                    true => V::zero(),
                    false => V::load_first(turn.finish.bias.add(row), height),
                };
                for j in 0..width {
                    let to = turn.to.add((column + j) * turn.to_stride + row);
                    let mut x = V::load(turned.as_ptr().add(j * V::LANES));
                    if turn.finish.accumulate {
                        x = x.add(V::load_first(to, height));
                    }
                    if !turn.finish.bias.is_null() {
                        x = x.add(bias);
                    }
                    if turn.finish.relu {
                        x = x.relu();
                    }
                    x.store_first(to, height);
                }
            }
        }
    }
}
