//! Rows in chunks of whole vectors.
//!
//! The last chunk of a row is padded, so that short rows are as vectorised as long ones: where the array
//! goes on, a whole chunk is read across the row's end and the surplus masked; and a whole chunk is
//! written, whose surplus the next row overwrites. Rows must therefore be written in ascending order.

use crate::math::{Float, Real};

/// Numbers in a chunk: one vector of the widest instruction set in `f32`.
const LANES: usize = 16;

pub(super) type Chunk<W> = [W; LANES];

/// A chunk from a function of the lane.
#[inline(always)]
pub(super) fn lanes<W>(f: impl FnMut(usize) -> W) -> Chunk<W> {
    std::array::from_fn(f)
}

/// Combines all lanes, by halves.
#[inline(always)]
fn fold<W: Copy>(mut chunk: Chunk<W>, f: impl Fn(W, W) -> W) -> W {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            chunk[l] = f(chunk[l], chunk[l + width]);
        }
        width /= 2;
    }
    chunk[0]
}

#[inline(always)]
fn larger<W: Real>(x: W, y: W) -> W {
    if x > y { x } else { y }
}

/// Rows of `classes` numbers.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub(super) classes: usize,
    pub(super) data: &'a [T],
}

impl<T: Float> Rows<'_, T> {
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.data.len() / self.classes
    }

    /// Starts of a row's chunks, from the row's beginning.
    #[inline(always)]
    fn starts(&self) -> impl Iterator<Item = usize> + use<T> {
        (0..self.classes).step_by(LANES)
    }

    /// The chunk of `row` at `at`; minus infinity beyond the row's end.
    #[inline(always)]
    pub(super) fn chunk(&self, row: usize, at: usize) -> Chunk<T::Wide> {
        load(self.data, row * self.classes + at, self.classes - at, T::Wide::of(f64::NEG_INFINITY))
    }

    /// The largest number of `row`; NaNs are passed over.
    #[inline(always)]
    pub(super) fn max(&self, row: usize) -> T::Wide {
        let mut max = self.chunk(row, 0);
        for at in self.starts().skip(1) {
            let x = self.chunk(row, at);
            max = lanes(|l| larger(x[l], max[l]));
        }
        fold(max, larger)
    }

    /// The sum of `e^(x - max)` over `row`, which are left in the row of `output` unless they would be
    /// rounded there.
    #[inline(always)]
    pub(super) fn exponentials(&self, row: usize, max: T::Wide, output: &mut [T]) -> T::Wide {
        let mut sum = [T::Wide::of(0.0); LANES];
        for at in self.starts() {
            let x = self.chunk(row, at);
            let e: Chunk<T::Wide> = lanes(|l| (x[l] - max).exp());
            if !T::ROUNDS {
                self.store(row, at, output, e);
            }
            sum = lanes(|l| sum[l] + e[l]);
        }
        fold(sum, |x, y| x + y)
    }

    /// Replaces what [`Rows::exponentials`] left in `output` by a function of it and the place.
    #[inline(always)]
    pub(super) fn finish(
        &self,
        row: usize,
        max: T::Wide,
        output: &mut [T],
        f: impl Fn(Chunk<T::Wide>, usize) -> Chunk<T::Wide>,
    ) {
        for at in self.starts() {
            let e = if T::ROUNDS {
                let x = self.chunk(row, at);
                lanes(|l| (x[l] - max).exp())
            } else {
                let rows = Rows { classes: self.classes, data: &*output };
                rows.chunk(row, at)
            };
            self.store(row, at, output, f(e, at));
        }
    }

    /// Writes a function of this row and the place to `output`.
    #[inline(always)]
    pub(super) fn rewrite(
        &self,
        row: usize,
        output: &mut [T],
        f: impl Fn(Chunk<T::Wide>, usize) -> Chunk<T::Wide>,
    ) {
        for at in self.starts() {
            self.store(row, at, output, f(self.chunk(row, at), at));
        }
    }

    /// The sum over `row` of `factors` times a function of this.
    #[inline(always)]
    pub(super) fn product_sum(
        &self,
        row: usize,
        factors: &Rows<'_, T>,
        f: impl Fn(T::Wide) -> T::Wide,
    ) -> T::Wide {
        let zero = T::Wide::of(0.0);
        let mut sum = [zero; LANES];
        for at in self.starts() {
            let (x, y) = (self.chunk(row, at), factors.chunk(row, at));
            let left = self.classes - at;
            sum = lanes(|l| sum[l] + if l < left { y[l] * f(x[l]) } else { zero });
        }
        fold(sum, |x, y| x + y)
    }

    #[inline(always)]
    fn store(&self, row: usize, at: usize, output: &mut [T], values: Chunk<T::Wide>) {
        let from = row * self.classes + at;
        match output.get_mut(from..from + LANES) {
            Some(all) => {
                for l in 0..LANES {
                    all[l] = T::store(values[l]);
                }
            }
            None => {
                let count = LANES.min(self.classes - at);
                for (output, value) in output[from..from + count].iter_mut().zip(values) {
                    *output = T::store(value);
                }
            }
        }
    }
}

/// The chunk at `from`, of which `left` numbers count; the rest is `pad`.
#[inline(always)]
fn load<T: Float>(data: &[T], from: usize, left: usize, pad: T::Wide) -> Chunk<T::Wide> {
    match data.get(from..from + LANES) {
        Some(all) => lanes(|l| if l < left { all[l].load() } else { pad }),
        None => {
            let mut chunk = [pad; LANES];
            for (to, x) in chunk.iter_mut().zip(&data[from..from + left.min(LANES)]) {
                *to = x.load();
            }
            chunk
        }
    }
}
