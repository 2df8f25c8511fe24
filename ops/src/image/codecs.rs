//! Image files: decoded to pixels, and encoded.

use crate::library::op_defs;
use crate::shapes::{self, int_attr, must_be_scalar};
use session_core::{AsOutput, Error, OpDef, Output, PartialShape, Result, ShapeContext};

const JPEG: &str = "channels: int = 0, ratio: int = 1, fancy_upscaling: bool = true, try_recover_truncated: bool = false, \
                    acceptable_fraction: float = 1.0, dct_method: string = \"\"";

op_defs! {
    DECODE_PNG: OpDef::new("DecodePng", "contents: string -> image: dtype")
        .attrs("channels: int = 0, dtype: {uint8, uint16} = uint8").shape(one_picture).not_differentiable();
    DECODE_JPEG: OpDef::new("DecodeJpeg", "contents: string -> image: uint8")
        .attrs(JPEG).shape(one_picture).not_differentiable();
    DECODE_AND_CROP_JPEG: OpDef::new("DecodeAndCropJpeg", "contents: string, crop_window: int32 -> image: uint8")
        .attrs(JPEG).shape(cropped_picture).not_differentiable();
    DECODE_BMP: OpDef::new("DecodeBmp", "contents: string -> image: uint8")
        .attrs("channels: int = 0").shape(one_picture).not_differentiable();
    DECODE_GIF: OpDef::new("DecodeGif", "contents: string -> image: uint8").shape(frames).not_differentiable();
    DECODE_IMAGE: OpDef::new("DecodeImage", "contents: string -> image: dtype")
        .attrs("channels: int = 0, dtype: {uint8, uint16, float} = uint8, expand_animations: bool = true")
        .shape(any_picture).not_differentiable();
    ENCODE_PNG: OpDef::new("EncodePng", "image: T -> contents: string")
        .attrs("compression: int = -1, T: {uint8, uint16} = uint8").shape(encoded_each).not_differentiable();
    ENCODE_JPEG: OpDef::new("EncodeJpeg", "image: uint8 -> contents: string")
        .attrs(
            "format: {\"\", \"grayscale\", \"rgb\"} = \"\", quality: int = 95, progressive: bool = false, \
             optimize_size: bool = false, chroma_downsampling: bool = true, density_unit: {\"in\", \"cm\"} = \"in\", \
             x_density: int = 300, y_density: int = 300, xmp_metadata: string = \"\"",
        )
        .shape(encoded).not_differentiable();
    ENCODE_JPEG_VARIABLE_QUALITY: OpDef::new("EncodeJpegVariableQuality", "images: uint8, quality: int32 -> contents: string")
        .shape(encoded_with_quality).not_differentiable();
    EXTRACT_JPEG_SHAPE: OpDef::new("ExtractJpegShape", "contents: string -> image_shape: output_type")
        .attrs("output_type: {int32, int64} = int32").shape(three_sizes).not_differentiable();
}

/// Returns the number of channels that the attribute requests; `None` for those of the file.
fn channels(context: &ShapeContext<'_>) -> Result<Option<usize>> {
    match int_attr(context, "channels")? {
        0 => Ok(None),
        channels => usize::try_from(channels)
            .map(Some)
            .map_err(|_| Error::value(format!("channels must be non-negative, got {channels}"))),
    }
}

fn one_picture(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    let channels = channels(context)?;
    context.set(0, PartialShape::from([None, None, channels]));
    Ok(())
}

fn cropped_picture(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    let channels = channels(context)?;
    let window = shapes::ints(context, 1).filter(|window| window.len() == 4);
    let size = |at: usize| window.as_ref().and_then(|window| usize::try_from(window[at]).ok());
    context.set(0, PartialShape::from([size(2), size(3), channels]));
    Ok(())
}

fn frames(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    context.set(0, PartialShape::from([None, None, None, Some(3)]));
    Ok(())
}

/// Animations have an axis more, so that only without them the rank is known.
fn any_picture(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    let channels = channels(context)?;
    if !shapes::bool_attr(context, "expand_animations") {
        context.set(0, PartialShape::from([None, None, channels]));
    }
    Ok(())
}

fn encoded(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 3)?;
    context.set(0, PartialShape::scalar());
    Ok(())
}

fn encoded_with_quality(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)?;
    encoded(context)
}

fn encoded_each(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = shapes::at_least_rank(context, 0, 3)?;
    let batch = images.rank().map_or_else(PartialShape::unknown, |rank| images.range(0, rank - 3));
    context.set(0, batch);
    Ok(())
}

fn three_sizes(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    context.set(0, PartialShape::from([Some(3)]));
    Ok(())
}

/// Decodes a file in any of the formats PNG, JPEG, GIF and BMP to `uint8` pixels of `channels` channels, or those of the
/// file for 0. Of an animation the first frame is decoded.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{image::decode_image, io::read_file, array::constant};
/// let graph = Graph::new();
/// let picture = decode_image(read_file(constant(&graph, "cat.jpg")), 3);
/// assert_eq!(picture.shape().to_string(), "[?,?,3]");
/// ```
#[must_use]
#[track_caller]
pub fn decode_image(contents: impl AsOutput, channels: i64) -> Output {
    let builder = contents.as_output().graph().op(&DECODE_IMAGE).input(contents);
    builder.attr("channels", channels).attr("expand_animations", false).finish_output()
}

/// Decodes a PNG file to `uint8` pixels `[height, width, channels]`. `channels` is 1 to 4, or 0 for the channels of the file.
///
/// ```
/// use ops::{array::placeholder, image::decode_png};
/// use session_core::{DType, Graph, PartialShape};
/// let graph = Graph::new();
/// let file = placeholder(&graph, DType::String, PartialShape::scalar());
/// let image = decode_png(&file, 3);
/// assert_eq!((image.dtype(), image.shape().to_string().as_str()), (DType::UInt8, "[?,?,3]"));
/// ```
#[must_use]
#[track_caller]
pub fn decode_png(contents: impl AsOutput, channels: i64) -> Output {
    contents.as_output().graph().op(&DECODE_PNG).input(contents).attr("channels", channels).finish_output()
}

/// Decodes a JPEG file to `uint8` pixels `[height, width, channels]`. `channels` is 1 or 3, or 0 for the channels of the file.
///
/// ```
/// use ops::{array::placeholder, image::decode_jpeg};
/// use session_core::{DType, Graph, PartialShape};
/// let graph = Graph::new();
/// let file = placeholder(&graph, DType::String, PartialShape::scalar());
/// assert_eq!(decode_jpeg(&file, 1).shape().to_string(), "[?,?,1]");
/// ```
#[must_use]
#[track_caller]
pub fn decode_jpeg(contents: impl AsOutput, channels: i64) -> Output {
    contents.as_output().graph().op(&DECODE_JPEG).input(contents).attr("channels", channels).finish_output()
}

/// Decodes a BMP file to `uint8` pixels `[height, width, channels]`. `channels` is 0 for the channels of the file.
#[must_use]
#[track_caller]
pub fn decode_bmp(contents: impl AsOutput, channels: i64) -> Output {
    contents.as_output().graph().op(&DECODE_BMP).input(contents).attr("channels", channels).finish_output()
}

/// Decodes a GIF file to its frames, `uint8` pixels `[frames, height, width, 3]`.
#[must_use]
#[track_caller]
pub fn decode_gif(contents: impl AsOutput) -> Output {
    contents.as_output().graph().op(&DECODE_GIF).input(contents).finish_output()
}

/// Encodes `uint8` or `uint16` pixels `[..., height, width, channels]` as PNG files, one for each image.
#[must_use]
#[track_caller]
pub fn encode_png(image: impl AsOutput) -> Output {
    image.as_output().graph().op(&ENCODE_PNG).input(image).finish_output()
}

/// Encodes `uint8` pixels of 1 or 3 channels as a JPEG file. `quality` is between 0 and 100.
#[must_use]
#[track_caller]
pub fn encode_jpeg(image: impl AsOutput, quality: i64) -> Output {
    image.as_output().graph().op(&ENCODE_JPEG).input(image).attr("quality", quality).finish_output()
}

/// Returns the height, width, and channels of a JPEG file, a vector of three `int32`, without decoding its pixels.
#[must_use]
#[track_caller]
pub fn extract_jpeg_shape(contents: impl AsOutput) -> Output {
    contents.as_output().graph().op(&EXTRACT_JPEG_SHAPE).input(contents).finish_output()
}
