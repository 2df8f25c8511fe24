//! The microkernel: a tile of the result held in registers while the sums run.
//!
//! A tile has up to `max_rows` rows and `max_vectors` vectors of columns. Each step of the sum loads the
//! vectors of one row of `b` and adds them, times one element of every row of `a`, to the tile. Elements
//! of `a` are read where they lie: a broadcast costs as much from anywhere in the first-level cache, so
//! packing `a` (which the classical design does) would only add a pass over it. Only `b` is packed, and
//! only when it does not lie in whole vectors already.
//!
//! Products and convolutions differ in where the rows of `a` start and how the sum walks, so
//! both are arguments: [`Rows`] and the lists of [`Offset`] and [`Run`].
#![allow(unsafe_code)] // the tile reads and writes through pointers: rows overlap in a convolution

use super::Real;
use super::dots::{self, Dots, DotsFn, Turn, TurnFn};
use super::pack::{self, PackFn, Panels};
use super::vector::{Lanes, Vector};
use crate::Isa;

/// Where a stretch of the sum starts, in elements of `a` and rows of `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Elements to add to the place in the left operand.
    pub(crate) a: usize,
    /// Rows to add to the place in the right operand.
    pub(crate) b: usize,
}

/// A stretch of the sum: `len` steps from an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Elements to add to the place in the left operand.
    pub(crate) a: usize,
    /// Rows to add to the place in the right operand.
    pub(crate) b: usize,
    /// The number of steps of the sum.
    pub(crate) len: usize,
}

/// The start of row `i` of the tile in `a`, and the stride of a row between consecutive steps of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Row `i` begins at `i * stride`; its steps are neighbors.
    Strided,
    /// Rows are neighbors; a step is `stride` elements.
    Adjacent,
    /// Row `i` begins at `list[i]`; a step is `stride` elements.
    Listed,
}

/// One tile: `c = relu(sum + c + bias)` with
/// `sum[i][j] = Σ over outer o, inner r, s < r.len of a[row i + o.a + r.a + step s] · b[o.b + r.b + s][j]`.
/// The pointers may lie outside the operands as long as no such sum of offsets does. No run is empty.
pub(crate) struct Tile<'a, T> {
    /// The first element of the first row of the left operand.
    pub(crate) a: *const T,
    /// The way in which the rows are found.
    pub(crate) rows: Rows,
    /// See [`Rows`].
    pub(crate) stride: usize,
    /// The beginnings of the rows, for [`Rows::Listed`] only.
    pub(crate) list: *const usize,
    /// The first row of the packed or plain right operand.
    pub(crate) b: *const T,
    /// Elements from a row of `b` to the next.
    pub(crate) b_stride: usize,
    /// The outer stretches of the sum: for a product one, for a convolution the rows of the filter.
    pub(crate) outer: &'a [Offset],
    /// The inner stretches of the sum within each outer one.
    pub(crate) inner: &'a [Run],
    /// The first element of the tile in the result.
    pub(crate) c: *mut T,
    /// Elements from a row of `c` to the next.
    pub(crate) c_stride: usize,
    /// Columns that are stored; all vectors of `b` are read whole.
    pub(crate) columns: usize,
    /// Add to what `c` holds.
    pub(crate) accumulate: bool,
    /// `columns` values, or null.
    pub(crate) bias: *const T,
    /// True to replace negative results by 0.
    pub(crate) relu: bool,
}

/// Computes one tile.
///
/// # Safety
/// The CPU has the instruction set of the [`Kernels`] that the function comes from. With `R` rows and
/// `V` vectors of `L` lanes: every element of `a` that the sum names is readable, so are `V * L` elements
/// of every row of `b`, `columns` of `bias` unless it is null; `columns` elements of `R` rows of `c` are
/// writable (and initialized if `accumulate`); `(V - 1) * L < columns <= V * L`; `list` has `R` entries
/// if the rows are listed; no run has length 0.
pub(crate) type TileFn<T> = unsafe fn(&Tile<'_, T>);

/// The microkernels of one instruction set and element type.
#[derive(Debug)]
pub(crate) struct Kernels<T: 'static> {
    /// Elements of a vector.
    pub(crate) lanes: usize,
    /// Indexed by rows - 1, then vectors - 1.
    strided: &'static [[TileFn<T>; MAX_VECTORS]],
    /// Kernels for rows that are neighbors, indexed in the same way.
    adjacent: &'static [[TileFn<T>; MAX_VECTORS]],
    /// Kernels for rows that begin at listed places, indexed in the same way.
    listed: &'static [[TileFn<T>; MAX_VECTORS]],
    /// Packs a matrix stored row by row.
    pub(crate) pack: PackFn<T>,
    /// Packs a matrix stored column by column.
    pub(crate) pack_transposed: PackFn<T>,
    /// Indexed by rows of `a` - 1, then rows of `b` - 1.
    dots: &'static [&'static [DotsFn<T>]],
    /// Transposes a matrix.
    pub(crate) turn: TurnFn<T>,
}

/// Vectors across a tile. Two leave room for enough rows that loads do not limit: `14 x 2` accumulators
/// need 16 loads in the 14 cycles that their 28 multiplications take, and few enough that `b` may come
/// from the second-level cache (9 bytes per cycle).
pub(crate) const MAX_VECTORS: usize = 2;

impl<T> Kernels<T> {
    /// Returns the highest tile.
    pub(crate) fn max_rows(&self) -> usize {
        self.strided.len()
    }

    /// Returns the columns of the widest tile.
    pub(crate) fn max_columns(&self) -> usize {
        MAX_VECTORS * self.lanes
    }

    /// Returns the kernel for a tile of `rows` rows, which are neither 0 nor above the maximum.
    pub(crate) fn tile(&self, tile: &Tile<'_, T>, rows: usize) -> TileFn<T> {
        let table = match tile.rows {
            Rows::Strided => self.strided,
            Rows::Adjacent => self.adjacent,
            Rows::Listed => self.listed,
        };
        table[rows - 1][tile.columns.div_ceil(self.lanes) - 1]
    }

    /// Returns the most rows of `a` and of `b` that dot products are computed of at a time.
    pub(crate) fn max_dots(&self) -> (usize, usize) {
        (self.dots.len(), self.dots[0].len())
    }

    /// Returns the kernel for the dot products of `a` rows with `b` rows, neither 0 nor above the maximum.
    pub(crate) fn dots(&self, a: usize, b: usize) -> DotsFn<T> {
        self.dots[a - 1][b - 1]
    }
}

/// The compile-time side of [`Rows`].
trait RowStarts<T> {
    /// Returns the offset of the first element of a row in `a`.
    ///
    /// # Safety
    /// The row is one of the tile, and the list of the tile has an entry for it if rows are listed.
    unsafe fn start(tile: &Tile<'_, T>, row: usize) -> usize;
    /// Returns the distance between two steps of the sum in `a`.
    fn step(tile: &Tile<'_, T>) -> usize;
}

/// [`Rows::Strided`].
struct Strided;
/// [`Rows::Adjacent`].
struct Adjacent;
/// [`Rows::Listed`].
struct Listed;
/// Any of the three, found when a tile begins: a third of the code, for kernels that are seldom what a program waits for.
struct Any;

impl<T> RowStarts<T> for Strided {
    #[inline(always)]
    unsafe fn start(tile: &Tile<'_, T>, row: usize) -> usize {
        row * tile.stride
    }
    #[inline(always)]
    fn step(_: &Tile<'_, T>) -> usize {
        1
    }
}

impl<T> RowStarts<T> for Adjacent {
    #[inline(always)]
    unsafe fn start(_: &Tile<'_, T>, row: usize) -> usize {
        row
    }
    #[inline(always)]
    fn step(tile: &Tile<'_, T>) -> usize {
        tile.stride
    }
}

impl<T> RowStarts<T> for Listed {
    #[inline(always)]
    unsafe fn start(tile: &Tile<'_, T>, row: usize) -> usize {
        // SAFETY: the list has an entry for every row of the tile.
        unsafe { *tile.list.add(row) }
    }
    #[inline(always)]
    fn step(tile: &Tile<'_, T>) -> usize {
        tile.stride
    }
}

impl<T> RowStarts<T> for Any {
    #[inline(always)]
    unsafe fn start(tile: &Tile<'_, T>, row: usize) -> usize {
        match tile.rows {
            Rows::Strided => row * tile.stride,
            Rows::Adjacent => row,
            // SAFETY: the list has an entry for every row of the tile.
            Rows::Listed => unsafe { *tile.list.add(row) },
        }
    }
    #[inline(always)]
    fn step(tile: &Tile<'_, T>) -> usize {
        match tile.rows {
            Rows::Strided => 1,
            Rows::Adjacent | Rows::Listed => tile.stride,
        }
    }
}

/// Returns the sums of a tile. Every loop over `R` and `N` is unrolled, so that they stay in registers.
///
/// # Safety
/// See [`TileFn`].
#[inline(always)]
unsafe fn sum<V: Vector, S: RowStarts<V::Elem>, const R: usize, const N: usize>(
    tile: &Tile<'_, V::Elem>,
) -> [[V; N]; R] {
    // SAFETY: the caller's promise covers every address that is formed here.
    unsafe {
        let mut starts = [0; R];
        for (i, start) in starts.iter_mut().enumerate() {
            *start = S::start(tile, i);
        }
        let (step, b_stride) = (S::step(tile), tile.b_stride);
        let mut sums = [[V::zero(); N]; R];
        let place = |outer: &Offset, run: &Run| {
            // Wrapping, for an operand may begin before the part of it that is in memory.
            (tile.a.wrapping_add(outer.a + run.a), tile.b.wrapping_add((outer.b + run.b) * b_stride), run.len)
        };
        let (mut outer, mut inner) = (tile.outer.iter(), tile.inner.iter());
        let (Some(mut at), Some(run)) = (outer.next(), inner.next()) else { return sums };
        // One loop over all runs: were it three, the compiler would shuffle the sums between them.
        let (mut a, mut b, mut left) = place(at, run);
        loop {
            let mut row = [V::zero(); N];
            for (j, row) in row.iter_mut().enumerate() {
                *row = V::load(b.add(j * V::LANES));
            }
            for i in 0..R {
                // A broadcast from memory: it needs no port of the multipliers, unlike one from a register.
                let x = V::splat(*a.add(starts[i]));
                for j in 0..N {
                    sums[i][j] = x.fma(row[j], sums[i][j]);
                }
            }
            a = a.wrapping_add(step);
            b = b.wrapping_add(b_stride);
            left -= 1;
            // Predicted well: taken once per run, which for a product is once per tile.
            if left == 0 {
                let run = match inner.next() {
                    Some(run) => run,
                    None => {
                        let Some(next) = outer.next() else { break };
                        at = next;
                        inner = tile.inner.iter();
                        inner.next().unwrap_unchecked()
                    }
                };
                (a, b, left) = place(at, run);
            }
        }
        sums
    }
}

/// Adds the earlier result and the bias to the sums, applies the activation, and stores the result.
///
/// One pass per part: short loops are unrolled, and with a variable index into `sums` left anywhere it
/// would be in memory.
///
/// # Safety
/// See [`TileFn`].
#[inline(always)]
unsafe fn finish<V: Vector, const R: usize, const N: usize>(tile: &Tile<'_, V::Elem>, mut sums: [[V; N]; R]) {
    let last = tile.columns - (N - 1) * V::LANES;
    let place = |i: usize, j: usize| tile.c.wrapping_add(i * tile.c_stride + j * V::LANES);
    // SAFETY: the caller's promise covers every address that is formed here.
    unsafe {
        if tile.accumulate {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(load::<V>(place(i, j), j + 1 == N, last));
                }
            }
        }
        if !tile.bias.is_null() {
            let mut bias = [V::zero(); N];
            for (j, bias) in bias.iter_mut().enumerate() {
                *bias = load::<V>(tile.bias.wrapping_add(j * V::LANES), j + 1 == N, last);
            }
            for sums in &mut sums {
                for (sum, &bias) in sums.iter_mut().zip(&bias) {
                    *sum = sum.add(bias);
                }
            }
        }
        if tile.relu {
            for sum in sums.as_flattened_mut() {
                *sum = sum.relu();
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                if j + 1 == N && last < V::LANES {
                    sum.store_first(place(i, j), last);
                } else {
                    sum.store(place(i, j));
                }
            }
        }
    }
}

/// Computes a tile.
///
/// # Safety
/// See [`TileFn`].
#[inline(always)]
unsafe fn tile<V: Vector, S: RowStarts<V::Elem>, const R: usize, const N: usize>(tile: &Tile<'_, V::Elem>) {
    // SAFETY: the caller's promise.
    unsafe {
        if tile.accumulate {
            for i in 0..R {
                for j in 0..N {
                    V::prefetch(tile.c.wrapping_add(i * tile.c_stride + j * V::LANES));
                }
            }
        }
        let sums = sum::<V, S, R, N>(tile);
        finish::<V, R, N>(tile, sums);
    }
}

/// Returns a vector of a row, of which `last` elements exist if it `is_last`.
///
/// # Safety
/// Those elements are readable; the CPU has the vector's instruction set.
#[inline(always)]
unsafe fn load<V: Vector>(from: *const V::Elem, is_last: bool, last: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { if is_last && last < V::LANES { V::load_first(from, last) } else { V::load(from) } }
}

/// Compiles every kernel for an instruction set, in a module of that name.
macro_rules! instruction_set {
    ($name:ident, $(#[$feature:meta])?) => {
        mod $name {
            use super::*;

            $(#[$feature])?
            pub(super) unsafe fn tile<V: Vector, S: RowStarts<V::Elem>, const R: usize, const N: usize>(
                tile: &Tile<'_, V::Elem>,
            ) {
                // SAFETY: the caller's promise.
                unsafe { super::tile::<V, S, R, N>(tile) }
            }
            $(#[$feature])?
            pub(super) unsafe fn pack<V: Vector>(panels: &Panels<V::Elem>) {
                // SAFETY: the caller's promise.
                unsafe { pack::pack::<V>(panels) }
            }
            $(#[$feature])?
            pub(super) unsafe fn pack_transposed<V: Vector>(panels: &Panels<V::Elem>) {
                // SAFETY: the caller's promise.
                unsafe { pack::pack_transposed::<V>(panels) }
            }
            $(#[$feature])?
            pub(super) unsafe fn dots<V: Vector<Elem: Real>, const R: usize, const N: usize>(
                dots: &Dots<V::Elem>,
            ) {
                // SAFETY: the caller's promise.
                unsafe { dots::dots::<V, R, N>(dots) }
            }
            $(#[$feature])?
            pub(super) unsafe fn turn<V: Vector<Elem: Real>>(turn: &Turn<V::Elem>) {
                // SAFETY: the caller's promise.
                unsafe { dots::turn::<V>(turn) }
            }
        }
    };
}

/// The kernels of an instruction set for one vector: tiles of the given heights, and dot products of up
/// to as many rows as are listed, times four or six. The tiles are compiled for each of [`Rows`], or once for all.
macro_rules! kernels {
    (each $isa:ident, $vector:ty, $rows:tt, $dots:tt by $columns:tt) => {
        kernels!(@ Strided Adjacent Listed, $isa, $vector, $rows, $dots by $columns)
    };
    (once $isa:ident, $vector:ty, $rows:tt, $dots:tt by $columns:tt) => {
        kernels!(@ Any Any Any, $isa, $vector, $rows, $dots by $columns)
    };
    (@ $strided:ident $adjacent:ident $listed:ident, $isa:ident, $vector:ty, [$($rows:literal)*], [$($dots:literal)*] by $columns:tt) => {
        Kernels {
            lanes: <$vector as Vector>::LANES,
            strided: &[$([$isa::tile::<$vector, $strided, $rows, 1>, $isa::tile::<$vector, $strided, $rows, 2>]),*],
            adjacent: &[$([$isa::tile::<$vector, $adjacent, $rows, 1>, $isa::tile::<$vector, $adjacent, $rows, 2>]),*],
            listed: &[$([$isa::tile::<$vector, $listed, $rows, 1>, $isa::tile::<$vector, $listed, $rows, 2>]),*],
            pack: $isa::pack::<$vector>,
            pack_transposed: $isa::pack_transposed::<$vector>,
            dots: &[$(dots_row!($isa, $vector, $dots, $columns)),*],
            turn: $isa::turn::<$vector>,
        }
    };
}

/// Lists the kernels for one number of rows of `a`.
macro_rules! dots_row {
    ($isa:ident, $vector:ty, $rows:literal, [$($columns:literal)*]) => {
        &[$($isa::dots::<$vector, $rows, $columns>),*]
    };
}

instruction_set!(baseline,);

/// Four lanes: SSE2 on x86-64, NEON on ARM.
static BASELINE_F32: Kernels<f32> = kernels!(once baseline, Lanes<f32, 4>, [1 2 3 4], [1 2] by [1 2 3 4]);
/// Two lanes: SSE2 on x86-64, NEON on ARM.
static BASELINE_F64: Kernels<f64> = kernels!(once baseline, Lanes<f64, 2>, [1 2 3 4], [1 2] by [1 2 3 4]);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use core::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    instruction_set!(avx2, #[target_feature(enable = "avx2,fma")]);
    instruction_set!(avx512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);

    /// Eight lanes with fused multiply-add.
    static AVX2_F32: Kernels<f32> = kernels!(each avx2, __m256, [1 2 3 4 5 6], [1 2] by [1 2 3 4 5 6]);
    /// Four lanes with fused multiply-add.
    static AVX2_F64: Kernels<f64> = kernels!(once avx2, __m256d, [1 2 3 4 5 6], [1 2] by [1 2 3 4 5 6]);
    /// Sixteen lanes.
    static AVX512_F32: Kernels<f32> =
        kernels!(each avx512, __m512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4] by [1 2 3 4 5 6]);
    /// Eight lanes.
    static AVX512_F64: Kernels<f64> =
        kernels!(once avx512, __m512d, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4] by [1 2 3 4 5 6]);

    /// Returns the microkernels for `f32` of an instruction set.
    pub(super) fn f32(isa: Isa) -> &'static Kernels<f32> {
        match isa {
            Isa::Avx512 => &AVX512_F32,
            Isa::Avx2 => &AVX2_F32,
            Isa::Baseline => &BASELINE_F32,
        }
    }

    /// Returns the microkernels for `f64` of an instruction set.
    pub(super) fn f64(isa: Isa) -> &'static Kernels<f64> {
        match isa {
            Isa::Avx512 => &AVX512_F64,
            Isa::Avx2 => &AVX2_F64,
            Isa::Baseline => &BASELINE_F64,
        }
    }
}

/// Returns the kernels for `f32`; `isa` must be one that the CPU has.
pub(crate) fn f32_kernels(isa: Isa) -> &'static Kernels<f32> {
    #[cfg(target_arch = "x86_64")]
    return x86::f32(isa);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        &BASELINE_F32
    }
}

/// Returns the kernels for `f64`; `isa` must be one that the CPU has.
pub(crate) fn f64_kernels(isa: Isa) -> &'static Kernels<f64> {
    #[cfg(target_arch = "x86_64")]
    return x86::f64(isa);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        &BASELINE_F64
    }
}
