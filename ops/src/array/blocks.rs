//! Blocks of rows and columns, moved into channels or into the batch and back.

use super::constants::{constant, range};
use super::joining::stack;
use super::shaping::{reshape, shape, transpose};
use super::slicing::{Index, strided_slice};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::{add, mul, sub, unsorted_segment_sum};
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

const DEPTH: &str =
    "T: type, block_size: int32 >= 2, data_format: {\"NHWC\", \"NCHW\", \"NCHW_VECT_C\"} = \"NHWC\"";

op_defs! {
    SPACE_TO_DEPTH: OpDef::new("SpaceToDepth", "input: T -> output: T")
        .attrs(DEPTH)
        .shape(space_to_depth_shape)
        .gradient(space_to_depth_gradient);
    DEPTH_TO_SPACE: OpDef::new("DepthToSpace", "input: T -> output: T")
        .attrs(DEPTH)
        .shape(depth_to_space_shape)
        .gradient(depth_to_space_gradient);
    SPACE_TO_BATCH_ND: OpDef::new(
        "SpaceToBatchND",
        "input: T, block_shape: Tblock_shape, paddings: Tpaddings -> output: T",
    )
    .attrs("T: type, Tblock_shape: indextype = int32, Tpaddings: indextype = int32")
    .shape(space_to_batch_nd_shape)
    .gradient(space_to_batch_nd_gradient);
    BATCH_TO_SPACE_ND: OpDef::new(
        "BatchToSpaceND",
        "input: T, block_shape: Tblock_shape, crops: Tcrops -> output: T",
    )
    .attrs("T: type, Tblock_shape: indextype = int32, Tcrops: indextype = int32")
    .shape(batch_to_space_nd_shape)
    .gradient(batch_to_space_nd_gradient);
    SPACE_TO_BATCH: OpDef::new("SpaceToBatch", "input: T, paddings: Tpaddings -> output: T")
        .attrs("T: type, Tpaddings: indextype = int32, block_size: int32 >= 2")
        .shape(space_to_batch_shape)
        .gradient(space_to_batch_gradient);
    BATCH_TO_SPACE: OpDef::new("BatchToSpace", "input: T, crops: Tidx -> output: T")
        .attrs("T: type, block_size: int32 >= 2, Tidx: indextype = int32")
        .shape(batch_to_space_shape)
        .gradient(batch_to_space_gradient);
    EXTRACT_IMAGE_PATCHES: OpDef::new("ExtractImagePatches", "images: T -> patches: T")
        .attrs(
            "ksizes: list(int32) >= 4, strides: list(int32) >= 4, rates: list(int32) >= 4, \
             T: {bfloat16, half, float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, \
             complex128, bool}, padding: {\"SAME\", \"VALID\"}",
        )
        .shape(patches_shape)
        .gradient(patches_gradient);
    EXTRACT_VOLUME_PATCHES: OpDef::new("ExtractVolumePatches", "input: T -> patches: T")
        .attrs(
            "ksizes: list(int32) >= 5, strides: list(int32) >= 5, T: realnumbertype, padding: {\"SAME\", \"VALID\"}",
        )
        .shape(volume_patches_shape)
        .gradient(patches_gradient);
}

/// Channels, rows and columns of four axes in the order of the format.
fn places(context: &ShapeContext<'_>) -> [usize; 3] {
    if shapes::str_attr(context, "data_format") == "NHWC" { [3, 1, 2] } else { [1, 2, 3] }
}

/// Returns the attribute `block_size`, which must be at least 2.
fn block_size(context: &ShapeContext<'_>) -> Result<usize> {
    let size = shapes::int_attr(context, "block_size")?;
    usize::try_from(size)
        .ok()
        .filter(|&size| size >= 2)
        .ok_or_else(|| Error::value(format!("block_size must be at least 2, not {size}")))
}

/// Returns a size divided without remainder.
fn divided(shape: &PartialShape, axis: usize, by: usize) -> Result<Option<usize>> {
    match shape.dim(axis) {
        Some(size) if size % by != 0 => {
            Err(Error::value(format!("axis {axis} of shape {shape} cannot be divided by {by}")))
        }
        size => Ok(size.map(|size| size / by)),
    }
}

/// Infers the shape of blocks that become channels.
fn space_to_depth_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (block, input) = (block_size(context)?, context.input_of_rank(0, 4)?);
    let [channels, rows, columns] = places(context);
    // Each pixel of a block becomes a group of channels.
    let depth = shapes::times(shapes::times(input.dim(channels), Some(block))?, Some(block))?;
    let shape = input
        .with_dim(rows, divided(&input, rows, block)?)
        .with_dim(columns, divided(&input, columns, block)?)
        .with_dim(channels, depth);
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of channels that become blocks.
fn depth_to_space_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (block, input) = (block_size(context)?, context.input_of_rank(0, 4)?);
    let [channels, rows, columns] = places(context);
    let shape = input
        .with_dim(rows, shapes::times(input.dim(rows), Some(block))?)
        .with_dim(columns, shapes::times(input.dim(columns), Some(block))?)
        .with_dim(channels, divided(&input, channels, block * block)?);
    context.set(0, shape);
    Ok(())
}

/// Block sizes, and pairs of borders, of the axes after the batch; `None` while one is not known.
type Blocks = Option<(Vec<i64>, Vec<i64>)>;

/// Returns the number of block dimensions and the blocks, as far as they are constant.
fn blocks(context: &ShapeContext<'_>) -> Result<(Option<usize>, Blocks)> {
    let (block, borders) = (context.input_of_rank(1, 1)?, context.input_of_rank(2, 2)?);
    let count = shapes::merge_ranks("block_shape and the rows of the borders", block.dim(0), borders.dim(0))?;
    shapes::merge_dims("the columns of the borders and the ends of an axis", borders.dim(1), Some(2))?;
    if let Some(axes) = count {
        shapes::at_least_rank(context, 0, axes + 1)?;
    }
    let known = shapes::ints(context, 1).zip(shapes::ints(context, 2));
    if let Some(value) = known.iter().flat_map(|(block, _)| block).find(|&&size| size < 1) {
        return Err(Error::value(format!("block sizes must be positive, not {value}")));
    }
    Ok((count, known))
}

/// Returns the shape when borders are added to (or taken from) the axes after the batch and blocks move to the batch (or
/// from it).
fn moved(input: &PartialShape, block: &[i64], borders: &[i64], to_batch: bool) -> Result<PartialShape> {
    let rank = input.rank().unwrap_or(0);
    let cannot =
        || Error::value(format!("blocks {block:?} with borders {borders:?} do not fit shape {input}"));
    let factors = block.iter().map(|&size| usize::try_from(size).ok());
    let factor = factors.into_iter().try_fold(1usize, |product, size| product.checked_mul(size?));
    let factor = factor.ok_or_else(cannot)?;
    let batch =
        if to_batch { shapes::times(input.dim(0), Some(factor))? } else { divided(input, 0, factor)? };
    // The padded size must be a multiple of the block on the way to the batch; the crops
    // are cut off on the way back.
    let mut shape = PartialShape::from([batch]);
    for (place, &block) in block.iter().enumerate() {
        let border = borders[2 * place].checked_add(borders[2 * place + 1]).ok_or_else(cannot)?;
        let changed = |size: i64| match to_batch {
            true => size.checked_add(border).filter(|size| size % block == 0).map(|size| size / block),
            false => size.checked_mul(block)?.checked_sub(border),
        };
        let size = input.dim(place + 1).map(|size| i64::try_from(size).ok());
        let changed = size.map(|size| {
            let size = size.and_then(changed).and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(cannot)
        });
        shape = shape.concat(&PartialShape::from([changed.transpose()?]));
    }
    Ok(shape.concat(&input.range(block.len() + 1, rank)))
}

/// Infers the shape of a move of blocks into the batch or back, in any number of dimensions.
fn nd_shape(context: &mut ShapeContext<'_>, to_batch: bool) -> Result<()> {
    let input = context.input(0);
    let (count, known) = blocks(context)?;
    let (Some(rank), Some(count)) = (input.rank(), count) else { return Ok(()) };
    let shape = match known {
        Some((block, borders)) => moved(&input, &block, &borders, to_batch)?,
        // The axes after the blocks stay as they are, whatever the blocks are.
        None => PartialShape::of_rank(count + 1).concat(&input.range(count + 1, rank)),
    };
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of `SpaceToBatchND`.
fn space_to_batch_nd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    nd_shape(context, true)
}

/// Infers the shape of `BatchToSpaceND`.
fn batch_to_space_nd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    nd_shape(context, false)
}

/// Infers the shape of a move of square blocks into the batch or back.
fn square_blocks(context: &mut ShapeContext<'_>, to_batch: bool) -> Result<()> {
    let (input, block) = (context.input_of_rank(0, 4)?, block_size(context)? as i64);
    context.input_of_rank(1, 2)?;
    let shape = match shapes::ints(context, 1) {
        Some(borders) if borders.len() == 4 => moved(&input, &[block, block], &borders, to_batch)?,
        Some(borders) => return Err(Error::value(format!("the borders must be two pairs, not {borders:?}"))),
        None => PartialShape::of_rank(3).concat(&input.range(3, 4)),
    };
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of `SpaceToBatch`.
fn space_to_batch_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    square_blocks(context, true)
}

/// Infers the shape of `BatchToSpace`.
fn batch_to_space_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    square_blocks(context, false)
}

/// Infers the shape of the patches of images.
fn patches_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    use crate::nn::window::{Windows, list_attr};
    let input = context.input_of_rank(0, 4)?;
    let (sizes, rates) = (list_attr(context, "ksizes", 4)?, list_attr(context, "rates", 4)?);
    let windows = Windows::new(list_attr(context, "strides", 4)?, shapes::str_attr(context, "padding"));
    let windows = windows.dilated(rates);
    let depth = shapes::times(shapes::times(input.dim(3), Some(sizes[1]))?, Some(sizes[2]))?;
    let mut shape = input.with_dim(3, depth);
    for axis in [1, 2] {
        shape = shape.with_dim(axis, windows.count(&input, axis, Some(sizes[axis]))?);
    }
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the patches of volumes.
fn volume_patches_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    use crate::nn::window::{Windows, list_attr};
    let input = context.input_of_rank(0, 5)?;
    let sizes = list_attr(context, "ksizes", 5)?;
    let windows = Windows::new(list_attr(context, "strides", 5)?, shapes::str_attr(context, "padding"));
    let depth = sizes[1..4].iter().try_fold(input.dim(4), |depth, &size| shapes::times(depth, Some(size)))?;
    let mut shape = input.with_dim(4, depth);
    for axis in [1, 2, 3] {
        shape = shape.with_dim(axis, windows.count(&input, axis, Some(sizes[axis]))?);
    }
    context.set(0, shape);
    Ok(())
}

/// Finishes an operation with the attributes of another one.
fn same_attrs(builder: OpBuilder, op: &Operation) -> Output {
    let names = ["block_size", "data_format"];
    // Only some of these operations have both attributes.
    let known = |name: &str| builder.definition().is_some_and(|def| def.signature().attr(name).is_some());
    let found: Vec<(String, AttrValue)> = names
        .iter()
        .filter(|name| known(name))
        .filter_map(|name| Some(((*name).to_owned(), op.attr(name)?.clone())))
        .collect();
    builder.attrs(found).finish_output()
}

/// Returns the gradient of a rearrangement: the inverse rearrangement, with the same further inputs.
fn move_back(op: &Operation, grads: &[Option<Output>], def: &'static OpDef) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    result[0] = grads[0].as_ref().map(|grad| {
        let builder = grad.graph().op(def).input(grad);
        // Borders that were added are cut off and the other way round, so both directions
        // take the same further inputs.
        same_attrs(op.inputs().iter().skip(1).fold(builder, OpBuilder::input), op)
    });
    Ok(result)
}

/// Builds the gradient, which is the inverse move.
fn space_to_depth_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &DEPTH_TO_SPACE)
}

/// Builds the gradient, which is the inverse move.
fn depth_to_space_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &SPACE_TO_DEPTH)
}

/// Builds the gradient, which is the inverse move.
fn space_to_batch_nd_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &BATCH_TO_SPACE_ND)
}

/// Builds the gradient, which is the inverse move.
fn batch_to_space_nd_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &SPACE_TO_BATCH_ND)
}

/// Builds the gradient, which is the inverse move.
fn space_to_batch_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &BATCH_TO_SPACE)
}

/// Builds the gradient, which is the inverse move.
fn batch_to_space_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    move_back(op, grads, &SPACE_TO_BATCH)
}

/// Builds the gradient: the sum of the gradients of all patches that an element is part of. Patches of the
/// numbers of pixels determine these patches; numbers below those of all pixels represent padding, and are left out of sums.
fn patches_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let (images, graph) = (op.input(0), grad.graph());
    let one = constant(&graph, 1i32);
    let sizes = shape(&images);
    let size = |axis: i64| strided_slice(&sizes, &[Index::At(axis)]);
    let (def, spatial): (&'static OpDef, _) = match op.op_type() == EXTRACT_VOLUME_PATCHES.name() {
        true => (&EXTRACT_VOLUME_PATCHES, 1..4),
        false => (&EXTRACT_IMAGE_PATCHES, 1..3),
    };
    let spatial: Vec<Output> = spatial.map(size).collect();
    let pixels = spatial.iter().skip(1).fold(spatial[0].clone(), mul);
    // Pixels are numbered from 1, because the padding of patches is filled with 0.
    let numbers = range(&one, add(&pixels, &one), &one);
    let around = std::slice::from_ref(&one);
    let numbers = reshape(numbers, stack(&[around, &spatial, around].concat(), 0));
    let builder = graph.op(def).input(numbers);
    let builder = crate::nn::images::copied_attrs(builder, op, &["ksizes", "strides", "rates", "padding"]);
    // The number of each entry's pixel, and -1 for padding, which `unsorted_segment_sum` drops.
    let numbers = sub(reshape(builder.finish_output(), [-1]), &one);
    let count = strided_slice(shape(&numbers), &[Index::At(0)]);
    let entries = reshape(grad, stack(&[size(0), count, size(-1)], 0));
    // Entries of all patches that show one pixel add up. The batch and the channels stay apart,
    // as the middle and last axes.
    let sums = unsorted_segment_sum(transpose(entries, [1, 0, 2]), numbers, &pixels);
    Ok(vec![Some(reshape(transpose(sums, [1, 0, 2]), shape_of(&images)))])
}

/// Moves blocks of rows and columns of images into the channels.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 4, 4, 2]);
/// assert_eq!(array::space_to_depth(&x, 2).shape().to_string(), "[1,2,2,8]");
/// ```
#[must_use]
#[track_caller]
pub fn space_to_depth(input: impl AsOutput, block_size: i64) -> Output {
    input.as_output().graph().op(&SPACE_TO_DEPTH).input(input).attr("block_size", block_size).finish_output()
}

/// Moves channels of images into blocks of rows and columns.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 2, 2, 8]);
/// assert_eq!(array::depth_to_space(&x, 2).shape().to_string(), "[1,4,4,2]");
/// ```
#[must_use]
#[track_caller]
pub fn depth_to_space(input: impl AsOutput, block_size: i64) -> Output {
    input.as_output().graph().op(&DEPTH_TO_SPACE).input(input).attr("block_size", block_size).finish_output()
}

/// Moves blocks of the spatial axes, after zero padding, into the batch axis.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::zeros(&graph, DType::Float32, [1, 4, 6, 3]);
/// let blocks = array::space_to_batch_nd(&images, [2, 2], [[0, 0], [0, 0]]);
/// assert_eq!(blocks.shape().to_string(), "[4,2,3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn space_to_batch_nd(
    input: impl AsOutput,
    block_shape: impl Into<crate::Ints>,
    paddings: impl Into<super::Paddings>,
) -> Output {
    let builder = input.as_output().graph().op(&SPACE_TO_BATCH_ND).input(input);
    paddings.into().input_of(block_shape.into().input_of(builder)).finish_output()
}

/// Moves entries of the batch axis into blocks of the spatial axes, which are then cropped.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let blocks = array::zeros(&graph, DType::Float32, [4, 2, 3, 3]);
/// let images = array::batch_to_space_nd(&blocks, [2, 2], [[0, 0], [0, 0]]);
/// assert_eq!(images.shape().to_string(), "[1,4,6,3]");
/// ```
#[must_use]
#[track_caller]
pub fn batch_to_space_nd(
    input: impl AsOutput,
    block_shape: impl Into<crate::Ints>,
    crops: impl Into<super::Paddings>,
) -> Output {
    let builder = input.as_output().graph().op(&BATCH_TO_SPACE_ND).input(input);
    crops.into().input_of(block_shape.into().input_of(builder)).finish_output()
}

/// Returns the elements of each window of `size` rows and columns of `[batch, rows, columns, channels]` as channels. Windows lie
/// `strides` apart, and the elements of one window `rates`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// use ops::nn::Padding;
/// let images = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let patches = array::extract_image_patches(&images, [2, 2], [2, 2], [1, 1], Padding::Valid);
/// assert_eq!(patches.shape().to_string(), "[1,4,4,12]");
/// ```
#[must_use]
#[track_caller]
pub fn extract_image_patches(
    images: impl AsOutput,
    size: [usize; 2],
    strides: [usize; 2],
    rates: [usize; 2],
    padding: crate::nn::Padding,
) -> Output {
    let format = crate::nn::DataFormat::Nhwc;
    let builder = images.as_output().graph().op(&EXTRACT_IMAGE_PATCHES).input(images);
    let builder = builder.attr("ksizes", format.spatial(size)).attr("strides", format.spatial(strides));
    builder.attr("rates", format.spatial(rates)).attr("padding", padding.attrs(format).0).finish_output()
}

/// Returns the elements of each window over volumes `[batch, planes, rows, columns, channels]`, side by side in the last axis.
///
/// ```
/// use ops::{array, nn::Padding};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let volumes = array::zeros(&graph, DType::Float32, [1, 4, 8, 8, 3]);
/// let patches = array::extract_volume_patches(&volumes, [2, 3, 3], [2, 2, 2], Padding::Same);
/// assert_eq!(patches.shape().to_string(), "[1,2,4,4,54]");
/// ```
#[must_use]
#[track_caller]
pub fn extract_volume_patches(
    input: impl AsOutput,
    size: [usize; 3],
    strides: [usize; 3],
    padding: crate::nn::Padding,
) -> Output {
    let format = crate::nn::DataFormat::Nhwc;
    let builder = input.as_output().graph().op(&EXTRACT_VOLUME_PATCHES).input(input);
    let builder = builder.attr("ksizes", format.spatial(size)).attr("strides", format.spatial(strides));
    builder.attr("padding", padding.attrs(format).0).finish_output()
}
