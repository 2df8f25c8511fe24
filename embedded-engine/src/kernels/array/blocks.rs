//! Blocks of rows and columns, moved into channels or into the batch and back; patches of images.
//!
//! Each operation is a function from a row of the result to a row of the input, or to none where the result
//! is padded; `arrange` copies the rows. A row is what stays together: the channels of a pixel, or the axes
//! after the blocks.
//!
//! # Semantics
//!
//! - `SpaceToDepth` and `DepthToSpace` move blocks of `block_size` by `block_size` pixels into channels and
//!   back. The channels of a result pixel are ordered by the row in the block, the column in the block, and
//!   the source channel, which is the order of attribute `data_format` NHWC.
//! - `SpaceToBatchND` pads first, then splits each spatial dimension into the position of the block and the
//!   position in it; the positions in the block become the slowest part of the batch. `BatchToSpaceND`
//!   reverses that and crops.
//! - `SpaceToBatch` and `BatchToSpace` are the older forms for two spatial dimensions.
//! - `ExtractImagePatches` writes the pixels of each patch into the channels, row by row. Its gradient, built
//!   in `ops`, adds up what arrives at all patches that a pixel is part of.
//!
//! Nothing is computed, so all dtypes are moved by the size of their elements.
//!
//! Details that callers see:
//!
//! - All op types accept every dtype that can be moved, strings included. Only NHWC is supported;
//!   `data_format` NCHW fails with `Unimplemented` when the plan is compiled, before the first step.
//! - Inputs of `SpaceToDepth`, `DepthToSpace` and `ExtractImagePatches` have the shape
//!   `[batch, height, width, depth]`. The sizes need not be known when the graph is built; they are checked
//!   in each run.
//! - `SpaceToDepth` of `[n, h, w, c]` returns `[n, h / b, w / b, c * b * b]`; `DepthToSpace` of
//!   `[n, h, w, c]` returns `[n, h * b, w * b, c / (b * b)]`. Sizes that do not divide are `InvalidArgument`,
//!   and so is a `block_size` less than 2.
//! - `SpaceToBatchND` takes `[batch, spatial..., rest...]`, `block_shape` of `m` sizes for the first `m`
//!   spatial axes, and `paddings` of shape `[m, 2]`. Every padded size must be a multiple of its block size;
//!   padding is zeros, or empty strings. `BatchToSpaceND` takes `crops` of the same form, which must not
//!   exceed the size that they are taken from.
//! - `ExtractImagePatches` pads with zeros for `padding` SAME and drops incomplete patches for VALID.
//! - An empty batch, and images without pixels, give empty results.
//!
//! The sizes are products of numbers in the graph and may overflow. Results whose size saturates fail in the
//! allocation, the others with an error here. The work is one copy per row on the calling thread.

use super::arrange::{arrange, ravel, unravel};
use super::slice::non_negative;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::nn::{Window, channels_first};
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use tensor::Shape;

/// Registers the block operations. Attributes are checked here; block sizes that are inputs are checked in
/// each run.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("SpaceToDepth", |spec| {
        let block = block_size(spec)?;
        Ok(boxed(move |context| space_to_depth(context, block)))
    });
    registry.add("DepthToSpace", |spec| {
        let block = block_size(spec)?;
        Ok(boxed(move |context| depth_to_space(context, block)))
    });
    registry.add("SpaceToBatchND", |_| {
        Ok(boxed(|context| {
            // A block size of 0 is refused together with the borders.
            let block = non_negative(&context.ints(1)?, "block_shape")?;
            space_to_batch(context, &block, 2)
        }))
    });
    registry.add("BatchToSpaceND", |_| {
        Ok(boxed(|context| {
            let block = non_negative(&context.ints(1)?, "block_shape")?;
            batch_to_space(context, &block, 2)
        }))
    });
    registry.add("SpaceToBatch", |spec| {
        let block = block_size(spec)?;
        Ok(boxed(move |context| space_to_batch(context, &[block, block], 1)))
    });
    registry.add("BatchToSpace", |spec| {
        let block = block_size(spec)?;
        Ok(boxed(move |context| batch_to_space(context, &[block, block], 1)))
    });
    registry.add("ExtractImagePatches", |spec| {
        let window = Window::of_patches(spec)?;
        Ok(boxed(move |context| extract_image_patches(context, &window)))
    });
}

/// Returns the attribute `block_size`, which is at least 2 as in TensorFlow, or the error for a layout other
/// than NHWC.
fn block_size(spec: &NodeSpec<'_>) -> Result<usize> {
    if channels_first(spec) {
        return Err(Error::new(Code::Unimplemented, "the embedded engine wants images as NHWC, not NCHW"));
    }
    let size = spec.int("block_size")?;
    usize::try_from(size)
        .ok()
        .filter(|&size| size > 1)
        .ok_or_else(|| Error::invalid_argument(format!("block size should be > 1: {size}")))
}

/// Returns the batch size, height, width and depth of input images, or `InvalidArgument` if they do not have
/// four dimensions.
fn images(shape: &Shape) -> Result<[usize; 4]> {
    let dims = shape.dims().try_into();
    dims.map_err(|_| Error::invalid_argument(format!("the input must be 4-dimensional: {shape}")))
}

/// Moves each block of `block` by `block` pixels into the channels of one pixel.
///
/// A pixel of the result at `(y, x)` is the concatenation of the source pixels
/// `(y * block + dy, x * block + dx)` with `dx` varying fastest, so the row that is copied has `depth`
/// elements and the image is read block by block.
fn space_to_depth(context: &mut KernelContext<'_>, block: usize) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [batch, height, width, depth] = images(&shape)?;
    if !height.is_multiple_of(block) || !width.is_multiple_of(block) {
        let text =
            format!("image height {height} and width {width} should be divisible by block_size {block}");
        return Err(Error::invalid_argument(text));
    }
    let (rows, columns) = (height / block, width / block);
    // A row of the result's channels is `block * block` pixels.
    let place = |i: usize| {
        let mut at = [0; 5];
        unravel(i, &[batch, rows, columns, block, block], &mut at);
        let [n, y, x, dy, dx] = at;
        Some((0, (n * height + y * block + dy) * width + x * block + dx))
    };
    // Saturating: a size that overflows must not wrap to a small one that the allocation would accept.
    let dims = Shape::from([batch, rows, columns, depth.saturating_mul(block).saturating_mul(block)]);
    let moved = arrange(context, &[context.input(0)], dims, depth, &place, None)?;
    context.set(0, moved);
    Ok(())
}

/// Spreads the channels of each pixel over a block of `block` by `block` pixels: the inverse of
/// `space_to_depth`.
///
/// The depth of the result is `depth / block^2`. That is also the width of a row: the channels
/// `(dy * block + dx) * width..` of the source pixel become the pixel `(y * block + dy, x * block + dx)` of
/// the result.
fn depth_to_space(context: &mut KernelContext<'_>, block: usize) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [batch, height, width, depth] = images(&shape)?;
    if !depth.is_multiple_of(block * block) {
        let text = format!("input depth dimension {depth} should be divisible by {}", block * block);
        return Err(Error::invalid_argument(text));
    }
    let dims = Shape::from([
        batch,
        height.saturating_mul(block),
        width.saturating_mul(block),
        depth / (block * block),
    ]);
    let place = |i: usize| {
        let mut at = [0; 5];
        unravel(i, &[batch, height, block, width, block], &mut at);
        let [n, y, dy, x, dx] = at;
        Some((0, (((n * height + y) * width + x) * block + dy) * block + dx))
    };
    // The source is addressed in units of result pixels, of which each source pixel has `block * block`.
    let moved = arrange(context, &[context.input(0)], dims.clone(), dims[3], &place, None)?;
    context.set(0, moved);
    Ok(())
}

/// Returns the borders in an input: before and after each of the block's axes.
///
/// `input` is the number of the input with the borders, of shape `[block.len(), 2]`. Input 0 must have more
/// dimensions than `block` has entries, because its first dimension is the batch. Fails with
/// `InvalidArgument` for another shape, a negative border or a block size of 0, so that callers may divide by
/// the block sizes and index the borders by axis.
fn borders(context: &KernelContext<'_>, input: usize, block: &[usize]) -> Result<Vec<[usize; 2]>> {
    let shape = context.input(0).shape();
    let borders = non_negative(&context.ints(input)?, "paddings and crops")?;
    if context.input(input).shape().dims() != [block.len(), 2] || shape.rank() <= block.len() {
        let text = format!(
            "blocks of {block:?} with borders of shape {} do not fit an input of shape {shape}",
            context.input(input).shape()
        );
        return Err(Error::invalid_argument(text));
    }
    if block.contains(&0) {
        return Err(Error::invalid_argument(format!(
            "all values in block_shape must be positive: {block:?}"
        )));
    }
    Ok(borders.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
}

/// Returns the error for sizes whose product overflows, which only a damaged or hostile graph has.
fn too_large() -> Error {
    Error::invalid_argument("the blocks are too large")
}

/// Pads the spatial axes and moves the position within each block to the front of the batch axis.
///
/// `block` has one size for each spatial axis; input `border_input` has the paddings. Entry `b` of the
/// result's batch comes from entry `b % batch` of the input and position `b / batch` in the block, where the
/// last spatial axis of the position varies fastest.
///
/// ```text
/// [1, 4, 1] with block [2], paddings [[0, 0]]: [a b c d]   ->   [2, 2, 1]: [[a c], [b d]]
/// ```
fn space_to_batch(context: &mut KernelContext<'_>, block: &[usize], border_input: usize) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let pads = borders(context, border_input, block)?;
    let factor = block.iter().try_fold(1usize, |all, &size| all.checked_mul(size)).ok_or_else(too_large)?;
    let (space, rest) = shape[1..].split_at(block.len());
    let mut sizes = Vec::with_capacity(block.len());
    for ((&size, &block), pad) in space.iter().zip(block).zip(&pads) {
        let padded =
            size.checked_add(pad[0]).and_then(|size| size.checked_add(pad[1])).ok_or_else(too_large)?;
        if !padded.is_multiple_of(block) {
            let text = format!("padded dimension {padded} is not divisible by the block's {block}");
            return Err(Error::invalid_argument(text));
        }
        sizes.push(padded / block);
    }
    let batch = shape[0].checked_mul(factor).ok_or_else(too_large)?;
    let dims: Shape =
        std::iter::once(batch).chain(sizes.iter().copied()).chain(rest.iter().copied()).collect();
    // Coordinates of a result row: the place in the block, the batch, the place in space.
    let axes = block.len();
    let layout: Vec<usize> = block.iter().copied().chain([shape[0]]).chain(sizes.iter().copied()).collect();
    let place = |i: usize| {
        let mut at = vec![0; layout.len()];
        unravel(i, &layout, &mut at);
        // Horner's rule over batch and space, so no table of strides is needed. A place in the padding has no
        // source row.
        let mut from = at[axes];
        for axis in 0..axes {
            let padded = at[axes + 1 + axis] * block[axis] + at[axis];
            let inside = padded.checked_sub(pads[axis][0]).filter(|&inside| inside < space[axis])?;
            from = from * space[axis] + inside;
        }
        Some((0, from))
    };
    let moved = arrange(context, &[context.input(0)], dims, rest.iter().product(), &place, None)?;
    context.set(0, moved);
    Ok(())
}

/// Moves the position within each block from the batch axis back to the spatial axes, and crops them: the
/// inverse of `space_to_batch`.
///
/// The batch must be a multiple of the product of the block sizes. Nothing is computed for pixels that are
/// cropped: the closure starts from the kept pixels and finds the batch entry and inner position of each.
fn batch_to_space(context: &mut KernelContext<'_>, block: &[usize], border_input: usize) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let crops = borders(context, border_input, block)?;
    let factor = block.iter().try_fold(1usize, |all, &size| all.checked_mul(size)).ok_or_else(too_large)?;
    if !shape[0].is_multiple_of(factor) {
        let text = format!("input batch dimension {} is not divisible by the block's {factor}", shape[0]);
        return Err(Error::invalid_argument(text));
    }
    let (space, rest) = shape[1..].split_at(block.len());
    let mut sizes = Vec::with_capacity(block.len());
    for ((&size, &block), &[before, after]) in space.iter().zip(block).zip(&crops) {
        let whole = size.checked_mul(block).ok_or_else(too_large)?;
        let left = before.checked_add(after).and_then(|crop| whole.checked_sub(crop));
        sizes.push(left.ok_or_else(|| {
            Error::invalid_argument(format!("crops of {before} and {after} exceed the size {whole}"))
        })?);
    }
    let batch = shape[0] / factor;
    let kept: Vec<usize> = std::iter::once(batch).chain(sizes.iter().copied()).collect();
    let place = |i: usize| {
        let mut at = vec![0; kept.len()];
        unravel(i, &kept, &mut at);
        // The coordinate before the crop: its remainder is the position in the block, its quotient the
        // position in the input.
        let whole = |axis: usize| at[axis + 1] + crops[axis][0];
        let in_block = ravel((0..block.len()).map(|axis| whole(axis) % block[axis]), block);
        let first = in_block * batch + at[0];
        let inner = (0..block.len()).map(|axis| whole(axis) / block[axis]);
        Some((0, inner.zip(space).fold(first, |from, (at, &size)| from * size + at)))
    };
    let dims = kept.iter().chain(rest).copied().collect();
    let moved = arrange(context, &[context.input(0)], dims, rest.iter().product(), &place, None)?;
    context.set(0, moved);
    Ok(())
}

/// Delivers the pixels at each position of a window, one after the other in the channels.
///
/// The result has the shape `[batch, out_h, out_w, window_h * window_w * depth]`. Windows are placed
/// `strides` apart, and their pixels `dilations` (TensorFlow's `rates`) apart. Pixels outside the image,
/// which only `SAME` padding has, are zeros.
fn extract_image_patches(context: &mut KernelContext<'_>, window: &Window) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [batch, height, width, depth] = images(&shape)?;
    let [window_h, window_w] = window.size();
    let ((out_h, top), (out_w, left)) =
        (window.along(0, height, window_h)?, window.along(1, width, window_w)?);
    let ([stride_h, stride_w], [rate_h, rate_w]) = (window.strides(), window.dilations());
    let place = |i: usize| {
        let mut at = [0; 5];
        unravel(i, &[batch, out_h, out_w, window_h, window_w], &mut at);
        let [n, y, x, dy, dx] = at;
        // `top` and `left` are the paddings before the image: a position in them underflows, one beyond the
        // image is filtered.
        let y = (y * stride_h + dy * rate_h).checked_sub(top).filter(|&y| y < height)?;
        let x = (x * stride_w + dx * rate_w).checked_sub(left).filter(|&x| x < width)?;
        Some((0, (n * height + y) * width + x))
    };
    let dims = Shape::from([batch, out_h, out_w, window_h.saturating_mul(window_w).saturating_mul(depth)]);
    let patches = arrange(context, &[context.input(0)], dims, depth, &place, None)?;
    context.set(0, patches);
    Ok(())
}
