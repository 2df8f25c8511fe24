//! The gradient with respect to the filter: a product whose sums run over the pixels of all images.
//!
//! With enough input channels, the rows of a tile are channels of one filter cell, and the sum runs over
//! the output pixels for which that cell is not on padding: nothing is copied and no zero multiplied.
//! With few channels such tiles would be too low; then the rows are cells and channels alike, read from
//! a copy of some rows of the image that has its padding filled in.
//!
//! The reduction over the images is cut into groups that depend on the shape alone, each with a partial
//! sum of its own, added up in order: the bits do not depend on the number of threads.
//!
//! # The product
//!
//! The gradient of one filter cell is `input^T * output_gradient`, with the pixels of all images as the depth of the
//! product. An element of the result is a sum over `batch * out_h * out_w` products, while the result itself is
//! small. A tile of the result is therefore visited many times, once for each chunk of pixels, and stays in registers
//! in between only within a chunk.
//!
//! | | rows of a tile | operand `a` | operand `b` |
//! |---|---|---|---|
//! | many channels (`row_of_cells`) | channels of one cell | the input, in place | the output gradient |
//! | few channels (`all_cells`) | cells and channels | a padded copy of some rows | the output gradient |
//!
//! The output gradient is read in place if its pixels consist of whole vectors, and is otherwise copied into panels
//! (`right`).
//!
//! # Work items
//!
//! With many channels an item is a group of images and a row of the filter; with few channels it is a group alone.
//! Items of different groups write different partial sums, and items of one group different rows, so no two threads
//! write the same element.
#![allow(unsafe_code)] // hands pointers into checked slices to the kernels

use super::ConvShape;
use super::axis::{Axis, Direction};
use crate::matmul::{Kernels, Offset, Panels, Real, Rows, Run, Tile, even_cut};
use crate::parallel::SharedSlice;
use crate::scratch::Tables;
use crate::{OutOfMemory, Pool, Scratch};

/// The number of input channels below which the rows of a tile are taken from all cells.
const FEW_CHANNELS: usize = 6;

/// The minimum number of output pixels of a group, so that adding up the groups' sums is little work.
const GROUP_PIXELS: usize = 1024;

/// The maximum number of groups, which is enough for the threads of most machines. It must not depend on the number
/// of threads, because the groups determine the order of the additions.
const GROUPS: usize = 8;

/// The maximum number of bytes of the groups' partial sums. A large filter has fewer groups, but also more rows that
/// threads can share.
const PARTIAL_BYTES: usize = 8 << 20;

/// Bytes of input and output gradient that are gone through for one tile after the other: half a small
/// second-level cache. Pieces that fit the first-level cache were tried; loading and storing the result's
/// tiles so often costs more than it saves.
const CHUNK_BYTES: usize = 512 << 10;

/// A range of output rows, counted through all images.
type Range = std::ops::Range<usize>;

/// Everything that the items share. Rows of the output are numbered through all images.
struct Gradient<'a, T: 'static> {
    /// The microkernels for this CPU.
    kernels: &'a Kernels<T>,
    /// The sizes of the convolution.
    shape: &'a ConvShape,
    /// The input images.
    input: &'a [T],
    /// The gradient of the output images.
    output_gradient: &'a [T],
    /// The lists of pixels or cells to sum over.
    tables: &'a Tables,
    /// Output rows that are gone through at a time.
    chunk: usize,
    /// The gradient of the filter. It holds the sums of the first group until all groups are added up.
    result: SharedSlice<'a, T>,
    /// Sums of the groups after the first.
    partial: SharedSlice<'a, T>,
}

/// The memory of one worker. It is part of the caller's scratch memory, and is filled again for each chunk.
struct Copies<'a, T> {
    /// Some rows of the input with their padding.
    padded: &'a mut [T],
    /// Some rows of the output gradient in panels.
    panels: &'a mut [T],
}

/// The output gradient as the right operand of the product.
///
/// Pixels are numbered through all images, and `start` is where pixel 0 would be, even if the panels hold only the
/// pixels of one chunk. The offsets in the tables are then the same for every chunk.
struct Right<T> {
    /// The place at which pixel 0 of all images would be.
    start: *const T,
    /// Elements from one pixel to the next.
    stride: usize,
    /// Elements from one panel to the next.
    panel: usize,
}

/// The left operand and the part of the result that its rows belong to.
struct Left<'a, T> {
    /// The way in which the kernel finds its rows.
    rows: Rows,
    /// The first element of the first row.
    start: *const T,
    /// Elements from one pixel to the next.
    stride: usize,
    /// For listed rows, the offset of each row in the padded copy.
    list: *const usize,
    /// The output rows to sum over, with their places in both operands.
    outer: &'a [Offset],
    /// The pixels of an output row to sum over.
    run: Run,
    /// Elements before the rows of the result.
    to: usize,
    /// The number of rows of the tile.
    count: usize,
}

/// See [`super::filter_gradient`].
pub(super) fn gradient<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &ConvShape,
    input: &[T],
    output_gradient: &[T],
    filter_gradient: &mut [T],
) -> Result<(), OutOfMemory> {
    if filter_gradient.is_empty() {
        return Ok(());
    }
    if input.is_empty() || output_gradient.is_empty() {
        filter_gradient.fill(T::zero());
        return Ok(());
    }
    let len = filter_gradient.len();
    let groups = groups::<T>(shape);
    let Scratch { memory, tables } = scratch;
    let few = shape.in_c < FEW_CHANNELS;
    // By the shape alone. The chunks also end the stretches of sums that a tile holds in registers, so they
    // decide about the bits.
    let chunk = chunk_rows::<T>(shape);
    if few {
        list_cells(shape, chunk, tables);
    } else {
        list_pixels(shape, tables);
    }
    // Each worker's part begins at a cache line of its own: otherwise two would write the same line in turn.
    let line = 64 / size_of::<T>();
    let padded =
        if few { padded_height(shape, chunk.min(shape.out_h)) * padded_width(shape) * shape.in_c } else { 0 };
    let panels = match shape.out_c % kernels.lanes {
        0 => 0,
        _ => chunk * shape.out_w * shape.out_c.next_multiple_of(kernels.max_columns()),
    };
    let per_worker = padded.next_multiple_of(line) + panels.next_multiple_of(line);
    let [partial, copies] = memory.parts::<T, 2>([(groups - 1) * len, per_worker * pool.threads()])?;
    let copies = SharedSlice::new(copies);
    let gradient = Gradient {
        kernels,
        shape,
        input,
        output_gradient,
        tables,
        chunk,
        result: SharedSlice::new(filter_gradient),
        partial: SharedSlice::new(partial),
    };
    let blocks = if few { 1 } else { shape.filter_h };
    pool.run_with_worker(groups * blocks, |worker, item| {
        // SAFETY: each worker has its own part.
        let copies = unsafe { copies.part(worker * per_worker, (worker + 1) * per_worker) };
        let (padded, panels) = copies.split_at_mut(padded.next_multiple_of(line));
        let mut copies = Copies { padded, panels };
        let group = item / blocks;
        let rows = even_part(shape.batch * shape.out_h, groups, group);
        if few {
            gradient.all_cells(group, rows, &mut copies);
        } else {
            gradient.row_of_cells(group, rows, item % blocks, &mut copies);
        }
    });
    add_up(pool, partial, filter_gradient);
    Ok(())
}

/// Returns the number of groups of output rows: as many as have enough pixels for their sums to be
/// worth the memory.
fn groups<T>(shape: &ConvShape) -> usize {
    let rows = shape.batch * shape.out_h;
    let by_memory = 1 + PARTIAL_BYTES / (shape.filter_len() * size_of::<T>());
    // Never zero, also for an image of a single pixel.
    (rows * shape.out_w / GROUP_PIXELS).min(GROUPS).min(by_memory).clamp(1, rows)
}

/// Output rows whose input and gradient fit [`CHUNK_BYTES`].
fn chunk_rows<T>(shape: &ConvShape) -> usize {
    let row = shape.stride_h * shape.in_w * shape.in_c + shape.out_w * shape.out_c;
    (CHUNK_BYTES / size_of::<T>() / row).clamp(1, shape.batch * shape.out_h)
}

/// Returns the `index`th of `parts` nearly equal parts of `0..len`.
fn even_part(len: usize, parts: usize, index: usize) -> Range {
    index * len / parts..(index + 1) * len / parts
}

/// Adds the partial sums to the first group's, in order.
fn add_up<T: Real>(pool: &Pool, partial: &[T], result: &mut [T]) {
    let len = result.len();
    if partial.is_empty() {
        return;
    }
    let result = SharedSlice::new(result);
    pool.split(len, 1 << 12, |from, to| {
        // SAFETY: the ranges are disjoint.
        let result = unsafe { result.part(from, to) };
        for partial in partial.chunks_exact(len) {
            // Group after group for one element: the order is fixed, whichever thread has the element.
            result.iter_mut().zip(&partial[from..to]).for_each(|(sum, &x)| *sum = T::add(*sum, x));
        }
    });
}

/// Lists, for every row of the filter, the output rows it meets the input at; and for every column, the
/// output columns.
fn list_pixels(shape: &ConvShape, tables: &mut Tables) {
    let vertical = Axis::vertical(shape, Direction::Forward);
    let horizontal = Axis::horizontal(shape, Direction::Forward);
    let Tables { offsets, runs, starts, .. } = tables;
    offsets.clear();
    starts.clear();
    for tap in 0..shape.filter_h {
        starts.push(offsets.len());
        for image in 0..shape.batch {
            offsets.extend((0..shape.out_h).filter_map(|y| {
                let source = vertical.source_of(y, tap)?;
                Some(Offset {
                    a: (image * shape.in_h + source) * shape.in_w * shape.in_c,
                    b: (image * shape.out_h + y) * shape.out_w,
                })
            }));
        }
    }
    starts.push(offsets.len());
    runs.clear();
    runs.extend((0..shape.filter_w).map(|tap| {
        let mut met = (0..shape.out_w).filter_map(|x| Some((x, horizontal.source_of(x, tap)?)));
        // Taps of one column meet the input at consecutive output columns, so the first and the number
        // describe them all.
        let first = met.next();
        let len = met.count() + usize::from(first.is_some());
        let (x, source) = first.unwrap_or_default();
        Run { a: source * shape.in_c, b: x, len }
    }));
}

/// Lists where each cell and channel of the filter starts in a padded copy, and where each of `rows`
/// output rows does.
fn list_cells(shape: &ConvShape, rows: usize, tables: &mut Tables) {
    let pitch = padded_width(shape) * shape.in_c;
    let Tables { offsets, starts, .. } = tables;
    starts.clear();
    for y in 0..shape.filter_h {
        for x in 0..shape.filter_w {
            let start = y * shape.dilation_h * pitch + x * shape.dilation_w * shape.in_c;
            starts.extend(start..start + shape.in_c);
        }
    }
    offsets.clear();
    offsets.extend((0..rows).map(|row| Offset { a: row * shape.stride_h * pitch, b: row * shape.out_w }));
}

/// Pixels in a row of a padded copy: those that some output pixel sees.
fn padded_width(shape: &ConvShape) -> usize {
    (shape.out_w - 1) * shape.stride_w + (shape.filter_w - 1) * shape.dilation_w + 1
}

/// Rows of a padded copy for `rows` rows of the output.
fn padded_height(shape: &ConvShape, rows: usize) -> usize {
    (rows - 1) * shape.stride_h + (shape.filter_h - 1) * shape.dilation_h + 1
}

impl<T: Real> Gradient<'_, T> {
    /// Sums the output rows `rows` into the cells of one row of the filter.
    fn row_of_cells(&self, group: usize, rows: Range, cell_row: usize, copies: &mut Copies<'_, T>) {
        let shape = self.shape;
        let all = &self.tables.offsets[self.tables.starts[cell_row]..self.tables.starts[cell_row + 1]];
        for start in rows.clone().step_by(self.chunk) {
            let chunk = start..(start + self.chunk).min(rows.end);
            let right = self.right(&chunk, copies.panels);
            // The list is in the order of output rows, so a chunk is a part of it, found by two binary
            // searches.
            let before = |row: usize| all.partition_point(|offset| offset.b < row * shape.out_w);
            let outer = &all[before(chunk.start)..before(chunk.end)];
            for (column, &run) in self.tables.runs.iter().enumerate() {
                for (channel, count) in even_cut(0..shape.in_c, self.kernels.max_rows()) {
                    let cell = cell_row * shape.filter_w + column;
                    let left = Left {
                        rows: Rows::Adjacent,
                        start: self.input.as_ptr().wrapping_add(channel),
                        stride: shape.stride_w * shape.in_c,
                        list: std::ptr::null(),
                        outer,
                        run,
                        to: (cell * shape.in_c + channel) * shape.out_c,
                        count,
                    };
                    self.tiles(group, &left, &right, start > rows.start);
                }
            }
        }
    }

    /// Sums the output rows `rows` into all cells, from padded copies.
    fn all_cells(&self, group: usize, rows: Range, copies: &mut Copies<'_, T>) {
        let shape = self.shape;
        let mut start = rows.start;
        while start < rows.end {
            // A copy is of one image.
            let next_image = (start / shape.out_h + 1) * shape.out_h;
            let chunk = start..(start + self.chunk).min(next_image).min(rows.end);
            let pixels = chunk.start * shape.out_w;
            self.fill_padded(&chunk, copies.padded);
            let right = self.right(&chunk, copies.panels);
            // The lists of cells count rows from the start of the chunk.
            let right = Right { start: right.start.wrapping_add(pixels * right.stride), ..right };
            for (cell, count) in even_cut(0..self.tables.starts.len(), self.kernels.max_rows()) {
                let left = Left {
                    rows: Rows::Listed,
                    start: copies.padded.as_ptr(),
                    stride: shape.stride_w * shape.in_c,
                    list: self.tables.starts[cell..].as_ptr(),
                    outer: &self.tables.offsets[..chunk.len()],
                    run: Run { a: 0, b: 0, len: shape.out_w },
                    to: cell * shape.out_c,
                    count,
                };
                self.tiles(group, &left, &right, start > rows.start);
            }
            start = chunk.end;
        }
    }

    /// Copies what some output rows of one image see, zeros for padding included.
    fn fill_padded(&self, rows: &Range, padded: &mut [T]) {
        let shape = self.shape;
        let (image, first) = (rows.start / shape.out_h, rows.start % shape.out_h * shape.stride_h);
        let (pitch, row_len) = (padded_width(shape) * shape.in_c, shape.in_w * shape.in_c);
        let image = &self.input[image * shape.in_h * row_len..][..shape.in_h * row_len];
        // The part of a row that is copied.
        let left = (shape.pad_left * shape.in_c).min(pitch);
        // The last columns of an input may lie beyond what any output pixel sees.
        let len = row_len.min(pitch - left);
        for (y, to) in padded.chunks_exact_mut(pitch).take(padded_height(shape, rows.len())).enumerate() {
            match (first + y).checked_sub(shape.pad_top).filter(|&y| y < shape.in_h) {
                None => to.fill(T::zero()),
                Some(y) => {
                    to[..left].fill(T::zero());
                    to[left..left + len].copy_from_slice(&image[y * row_len..][..len]);
                    to[left + len..].fill(T::zero());
                }
            }
        }
    }

    /// Returns the output gradient of some rows, copied into panels if its pixels are not whole vectors.
    fn right(&self, rows: &Range, panels: &mut [T]) -> Right<T> {
        let Gradient { shape, kernels, output_gradient, .. } = *self;
        let width = kernels.max_columns();
        if panels.is_empty() {
            return Right { start: output_gradient.as_ptr(), stride: shape.out_c, panel: width };
        }
        let (first, pixels) = (rows.start * shape.out_w, rows.len() * shape.out_w);
        assert!(panels.len() >= pixels * shape.out_c.next_multiple_of(width), "room for the panels");
        let packing = Panels {
            from: output_gradient[first * shape.out_c..].as_ptr(),
            stride: shape.out_c,
            rows: pixels,
            columns: shape.out_c,
            to: panels.as_mut_ptr(),
            to_stride: pixels * width,
        };
        // SAFETY: the rows are within the output gradient, and the panels have room for them; the
        // kernels are of this CPU.
        unsafe { (kernels.pack)(&packing) }
        // May point before the panels. Only sums of offsets within them are ever read, so the pointer wraps.
        Right { start: panels.as_ptr().wrapping_sub(first * width), stride: width, panel: pixels * width }
    }

    /// The tiles of some rows of the result, across all output channels.
    fn tiles(&self, group: usize, left: &Left<'_, T>, right: &Right<T>, accumulate: bool) {
        let Gradient { shape, kernels, .. } = *self;
        let width = kernels.max_columns();
        for (panel, column) in (0..shape.out_c).step_by(width).enumerate() {
            let columns = (shape.out_c - column).min(width);
            // SAFETY: items write different rows of a group's sum, and tiles of an item follow each
            // other.
            let c = unsafe {
                match group.checked_sub(1) {
                    None => self.result.at(left.to + column),
                    Some(index) => self.partial.at(index * shape.filter_len() + left.to + column),
                }
            };
            let tile = Tile {
                a: left.start,
                rows: left.rows,
                stride: left.stride,
                list: left.list,
                b: right.start.wrapping_add(panel * right.panel),
                b_stride: right.stride,
                outer: left.outer,
                inner: if left.run.len == 0 { &[] } else { std::slice::from_ref(&left.run) },
                c,
                c_stride: shape.out_c,
                columns,
                accumulate,
                bias: std::ptr::null(),
                relu: false,
            };
            // SAFETY: the offsets and runs name only input pixels that exist (or cells of the padded
            // copy, which covers all that its output rows see), and pixels of the gradient's rows that
            // `right` has; rows of the gradient are whole vectors or panels; the kernels are of this
            // CPU.
            unsafe { kernels.tile(&tile, left.count)(&tile) }
        }
    }
}
