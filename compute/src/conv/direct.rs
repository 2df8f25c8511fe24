//! The convolution and its transpose without an image of columns: the rows of a tile are destination
//! pixels, read from the source where they lie.
//!
//! All rows of a tile must sum over the same taps. Pixels at one place of several images do; so do
//! neighbors along either axis while none of their taps is padding that another's is not. So the
//! destination is cut into rectangles of equal taps ([`Span`] by [`Span`]), and each is covered by tiles
//! along the images, the rows or the columns, whichever fills the vectors best. Padding is never read and
//! costs no multiplication.
//!
//! # Stages
//!
//! 1. `Taps::new` finds, for each destination coordinate along an axis, the taps whose source exists. Neighboring
//!    coordinates with the same taps form a span.
//! 2. The filter is packed into panels, once for all images.
//! 3. `run` distributes groups of images and bands of rows over the threads.
//! 4. `rectangle` covers the pixels of a span of rows and a span of columns by tiles.
//!
//! # Why no image of columns
//!
//! The usual way copies all patches into a matrix (`im2col`) and multiplies it by the filter. The copy is as many
//! times larger than the image as the filter has cells, and writing and reading it takes longer than a small product.
//! Here a tile gets the addresses of its rows as a base and a stride, and the taps as two lists of offsets, so the
//! source is read in place.
//!
//! # Two lists instead of one
//!
//! The taps of a pixel are all pairs of a row tap and a column tap. [`Offset`] lists the rows and [`Run`] the
//! columns; the kernel iterates over both. A span has as many entries as the
//! filter has rows and columns together, which are fewer than its cells. Neighboring column taps whose pixels lie next
//! to each other are joined into one run, so for a stride of 1 the whole filter row is one run of
//! `filter_w * channels` steps.
#![allow(unsafe_code)] // hands pointers into checked slices to the kernels

use super::ConvShape;
use super::axis::{Axis, Direction, Span};
use crate::matmul::{Epilogue, Kernels, Offset, Panels, Real, Rows, Run, Tile, even_cut};
use crate::parallel::SharedSlice;
use crate::scratch::Tables;
use crate::{OutOfMemory, Pool, Scratch};

/// One convolution in either direction.
struct Direct<'a, T: 'static> {
    /// The microkernels for this CPU.
    kernels: &'a Kernels<T>,
    /// The images that are read, in NHWC order.
    source: &'a [T],
    /// Elements of one image, one row and one pixel of the source.
    source_image: usize,
    /// The number of elements of one row of the source.
    source_row: usize,
    /// The number of elements of one pixel of the source: its channels.
    source_pixel: usize,
    /// The same of the destination.
    destination_image: usize,
    /// The number of elements of one row of the destination.
    destination_row: usize,
    /// The number of elements of one pixel of the destination.
    destination_pixel: usize,
    /// The filter in panels of [`Kernels::max_columns`].
    filter: &'a [T],
    /// Rows of a panel.
    depth: usize,
    /// The taps of each destination coordinate.
    taps: Taps<'a>,
    /// The bias and activation to apply to finished sums.
    epilogue: Epilogue<'a, T>,
    /// The images that are written. Items write disjoint pixels.
    destination: SharedSlice<'a, T>,
}

/// The spans of both axes and their taps.
#[derive(Clone, Copy)]
struct Taps<'a> {
    /// The spans of the destination's rows.
    rows: &'a [Span],
    /// The spans of the destination's columns.
    columns: &'a [Span],
    /// Taps of the rows' spans.
    offsets: &'a [Offset],
    /// Taps of the columns' spans, neighbors joined.
    runs: &'a [Run],
    /// The order in which the taps of a row are packed.
    order: &'a [usize],
}

/// Computes [`super::forward`] with given kernels.
///
/// An output element is one sum over the taps in the order of the filter, so its bits depend on the kernels alone.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
pub(super) fn forward<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    filter: &[T],
    epilogue: Epilogue<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    // No tile may be empty, and a group of no images would divide by zero.
    if output.is_empty() {
        return Ok(());
    }
    let Scratch { memory, tables } = scratch;
    let taps = Taps::new(tables, shape, Direction::Forward);
    let width = kernels.max_columns();
    let depth = shape.filter_h * shape.filter_w * shape.in_c;
    let [packed] = memory.parts::<T, 1>([depth * shape.out_c.next_multiple_of(width)])?;
    let panels = Panels {
        from: filter.as_ptr(),
        stride: shape.out_c,
        rows: depth,
        columns: shape.out_c,
        to: packed.as_mut_ptr(),
        to_stride: depth * width,
    };
    // SAFETY: the filter has `depth` rows of `out_c`, and `packed` holds them with the last panel filled
    // up; the kernels are of this CPU.
    unsafe { (kernels.pack)(&panels) }
    let direct = Direct {
        kernels,
        source: input,
        source_image: shape.in_h * shape.in_w * shape.in_c,
        source_row: shape.in_w * shape.in_c,
        source_pixel: shape.in_c,
        destination_image: shape.out_h * shape.out_w * shape.out_c,
        destination_row: shape.out_w * shape.out_c,
        destination_pixel: shape.out_c,
        filter: packed,
        depth,
        taps,
        epilogue,
        destination: SharedSlice::new(output),
    };
    direct.run(pool, shape.batch);
    Ok(())
}

/// Computes [`super::input_gradient`] with given kernels.
///
/// This is a convolution of the output gradient with the filter, whose input and output channels are exchanged. With
/// strides, the taps of a pixel depend on its coordinate modulo the stride; the spans take care of this, so no zeros
/// are inserted between the pixels of the gradient.
pub(super) fn input_gradient<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    filter: &[T],
    output_gradient: &[T],
    input_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    if input_gradient.is_empty() {
        return Ok(());
    }
    let Scratch { memory, tables } = scratch;
    let taps = Taps::new(tables, shape, Direction::Backward);
    let width = kernels.max_columns();
    let depth = shape.filter_h * shape.filter_w * shape.out_c;
    let [packed] = memory.parts::<T, 1>([depth * shape.in_c.next_multiple_of(width)])?;
    pack_transposed(kernels, shape, filter, taps.order, packed);
    let direct = Direct {
        kernels,
        source: output_gradient,
        source_image: shape.out_h * shape.out_w * shape.out_c,
        source_row: shape.out_w * shape.out_c,
        source_pixel: shape.out_c,
        destination_image: shape.in_h * shape.in_w * shape.in_c,
        destination_row: shape.in_w * shape.in_c,
        destination_pixel: shape.in_c,
        filter: packed,
        depth,
        taps,
        epilogue: Epilogue::default(),
        destination: SharedSlice::new(input_gradient),
    };
    direct.run(pool, shape.batch);
    Ok(())
}

/// Packs the filter with input and output channels exchanged and the taps of a row in `order`.
///
/// Going back, the source of a later tap lies further left. In `order`, the taps of one residue of the stride follow
/// each other from the last to the first, so that neighbors in the source are neighbors in the panels and can be
/// joined into runs.
fn pack_transposed<T: Real>(
    kernels: &Kernels<T>,
    shape: &ConvShape,
    filter: &[T],
    order: &[usize],
    packed: &mut [T],
) {
    let width = kernels.max_columns();
    let cell = shape.in_c * shape.out_c;
    let depth = shape.filter_h * shape.filter_w * shape.out_c;
    for row in 0..shape.filter_h {
        for (place, &tap) in order.iter().enumerate() {
            let panels = Panels {
                from: filter[(row * shape.filter_w + tap) * cell..].as_ptr(),
                stride: shape.out_c,
                rows: shape.out_c,
                columns: shape.in_c,
                to: packed[(row * shape.filter_w + place) * shape.out_c * width..].as_mut_ptr(),
                to_stride: depth * width,
            };
            // SAFETY: a cell has `in_c` rows of `out_c`; every panel of `packed` has room for the rows
            // of all cells; the kernels are of this CPU.
            unsafe { (kernels.pack_transposed)(&panels) }
        }
    }
}

impl<'a> Taps<'a> {
    /// Builds the tables of taps. They are in the caller's scratch memory, so that a steady step allocates nothing.
    fn new(tables: &'a mut Tables, shape: &ConvShape, direction: Direction) -> Taps<'a> {
        let (vertical, horizontal) = (Axis::vertical(shape, direction), Axis::horizontal(shape, direction));
        let channels = match direction {
            Direction::Forward => shape.in_c,
            Direction::Backward => shape.out_c,
        };
        let Tables { offsets, runs, rows, columns, order, .. } = tables;
        offsets.clear();
        vertical.spans(rows, |y| {
            let start = offsets.len();
            offsets.extend((0..vertical.taps).filter_map(|tap| {
                let source = vertical.source_of(y, tap)?;
                Some(Offset { a: source * horizontal.source * channels, b: tap * horizontal.taps * channels })
            }));
            (start, offsets.len())
        });
        runs.clear();
        horizontal.tap_order(order);
        horizontal.spans(columns, |x| {
            let start = runs.len();
            for (place, &tap) in order.iter().enumerate() {
                let Some(source) = horizontal.source_of(x, tap) else { continue };
                let run = Run { a: source * channels, b: place * channels, len: channels };
                match runs[start..].last_mut() {
                    _ if channels == 0 => {}
                    // Neighbors in both operands: one long run costs one change of address instead of one for
                    // each tap.
                    Some(last) if last.a + last.len == run.a && last.b + last.len == run.b => {
                        last.len += run.len;
                    }
                    _ => runs.push(run),
                }
            }
            (start, runs.len())
        });
        Taps { rows, columns, offsets, runs, order }
    }
}

/// A direction along which destination pixels follow each other: through the images, the rows or the columns.
#[derive(Clone, Copy)]
struct Steps {
    /// The number of pixels.
    count: usize,
    /// Elements from one to the next.
    source: usize,
    /// Elements from one pixel to the next in the destination.
    destination: usize,
}

impl Steps {
    /// Returns the multiplier utilization of tiles along these steps.
    ///
    /// This is the number of rows of a tile, up to the number that keeps the multipliers busy. A little more than
    /// half of the largest tile is enough for that, so a direction that allows larger tiles is not preferred to one
    /// that is closer in memory.
    fn fullness(&self, most: usize) -> usize {
        (self.count / self.count.div_ceil(most)).min(most.div_ceil(2) + 1)
    }
}

impl<T: Real> Direct<'_, T> {
    /// Computes all images.
    ///
    /// An item is a group of at most `max_rows` images and a band of rows. Bands become lower until there are at
    /// least eight items per thread, so that a thread that is slower than the others does not delay them much. The
    /// result does not depend on the division, because each tile is computed as a whole.
    fn run(&self, pool: &Pool, batch: usize) {
        let most = self.kernels.max_rows();
        let groups = batch.div_ceil(most);
        // Bands of rows, so that there are several items for each thread.
        let mut height = most;
        while height > 1 && groups * self.bands(height) < 8 * pool.threads() {
            height -= 1;
        }
        let bands = self.bands(height);
        pool.run(groups * bands, |item| {
            let (first, count) = even_cut(0..batch, most).nth(item / bands).expect("one group per item");
            let band = self.band(height, item % bands);
            for columns in self.taps.columns {
                self.rectangle(first, count, &band, columns);
            }
        });
    }

    /// Returns the parts when every span of rows is cut into parts of at most `height`.
    fn bands(&self, height: usize) -> usize {
        self.taps.rows.iter().map(|span| span.count.div_ceil(height)).sum()
    }

    /// Returns one of the [`bands`](Direct::bands).
    fn band(&self, height: usize, mut index: usize) -> Span {
        for span in self.taps.rows {
            if let Some((start, count)) = even_cut(0..span.count, height).nth(index) {
                return span.part(start, count);
            }
            index -= span.count.div_ceil(height);
        }
        unreachable!("the index is below the number of bands")
    }

    /// Computes the pixels of some rows and columns in `images` images, starting with `image`.
    ///
    /// Tiles lie along the direction with the best utilization; of equals, along the columns, whose pixels are
    /// closest in memory. The other two directions are loops around the tile. The filter's panel is the outermost
    /// loop: it stays in the cache for all pixels of the rectangle.
    fn rectangle(&self, image: usize, images: usize, rows: &Span, columns: &Span) {
        let ways = [
            Steps { count: images, source: self.source_image, destination: self.destination_image },
            Steps {
                count: rows.count,
                source: rows.shift * self.source_row,
                destination: rows.step * self.destination_row,
            },
            Steps {
                count: columns.count,
                source: columns.shift * self.source_pixel,
                destination: columns.step * self.destination_pixel,
            },
        ];
        let most = self.kernels.max_rows();
        let fullness = ways.map(|way| way.fullness(most));
        let order: [usize; 3] = match fullness.iter().max() {
            // The order of the arms breaks ties: columns before rows before images.
            best if best == Some(&fullness[2]) => [2, 0, 1],
            best if best == Some(&fullness[1]) => [1, 0, 2],
            _ => [0, 1, 2],
        };
        let [along, outer, inner] = order.map(|i| ways[i]);
        let source =
            image * self.source_image + rows.base * self.source_row + columns.base * self.source_pixel;
        let destination = image * self.destination_image
            + rows.first * self.destination_row
            + columns.first * self.destination_pixel;
        let width = self.kernels.max_columns();
        // The panel is `depth` rows of vectors, the largest thing that a tile reads, so it changes least
        // often.
        for column in (0..self.destination_pixel).step_by(width) {
            for i in 0..outer.count {
                for j in 0..inner.count {
                    for (start, count) in even_cut(0..along.count, most) {
                        self.tile(
                            source + i * outer.source + j * inner.source + start * along.source,
                            destination
                                + i * outer.destination
                                + j * inner.destination
                                + start * along.destination,
                            &Steps { count, ..along },
                            column,
                            &self.taps.offsets[rows.list.0..rows.list.1],
                            &self.taps.runs[columns.list.0..columns.list.1],
                        );
                    }
                }
            }
        }
    }

    /// Computes one tile, whose first pixel is at `source` and `destination`.
    ///
    /// Further pixels follow at the steps of `rows`. `outer` and `inner` list the taps that the pixels of the tile
    /// have in common. Without any taps the sums are zero, and the epilogue still applies.
    fn tile(
        &self,
        source: usize,
        destination: usize,
        rows: &Steps,
        column: usize,
        outer: &[Offset],
        inner: &[Run],
    ) {
        let width = self.kernels.max_columns();
        let columns = (self.destination_pixel - column).min(width);
        // SAFETY: every tile has destination elements of its own; they interleave, so only a pointer is
        // formed.
        let c = unsafe { self.destination.at(destination + column) };
        let tile = Tile {
            a: self.source.as_ptr().wrapping_add(source),
            rows: Rows::Strided,
            stride: rows.source,
            list: std::ptr::null(),
            b: self.filter[column * self.depth..].as_ptr(),
            b_stride: width,
            outer,
            inner,
            c,
            c_stride: rows.destination,
            columns,
            accumulate: false,
            bias: self.epilogue.bias.map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
            relu: self.epilogue.relu,
        };
        // SAFETY: the lists name only sources and filter cells that exist (`Axis::source_of`), for every
        // pixel of the spans that the tile is from; the panel has `depth` rows of `width`; the kernels
        // are of this CPU.
        unsafe { self.kernels.tile(&tile, rows.count)(&tile) }
    }
}
