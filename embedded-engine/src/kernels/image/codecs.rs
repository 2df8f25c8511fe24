//! Image files: PNG, JPEG, GIF and BMP.
//!
//! # Semantics
//!
//! The decoders take a scalar string, the file, and return pixels `[height, width, channels]`. The attribute
//! `channels` is 0 (those of the file, the default), 1, 3 or 4.
//!
//! - `DecodePng` reads PNG, JPEG and GIF of one frame, as `uint8` or `uint16`.
//! - `DecodeJpeg` reads the same, as `uint8`.
//! - `DecodeAndCropJpeg` reads JPEG as `uint8` and returns the window `[y, x, height, width]` that the second
//!   input states.
//! - `DecodeGif` reads GIF, and PNG and JPEG as one frame, and returns `[frames, height, width, 3]` of
//!   `uint8`.
//! - `DecodeBmp` reads BMP as `uint8`.
//! - `DecodeImage` reads all four formats as `uint8`, `uint16` or `float32`; of a GIF it returns all frames
//!   if `expand_animations` (default true), otherwise the first.
//! - `ExtractJpegShape` reads the header of a JPEG file and returns `[height, width, channels]` as `int32` or
//!   `int64`.
//! - `EncodePng` takes `[..., height, width, channels]` of `uint8` or `uint16` with 1 to 4 channels and
//!   returns files, `[...]`.
//! - `EncodeJpeg` and `EncodeJpegVariableQuality` take `[height, width, channels]` of `uint8` with 1 or 3
//!   channels and return a file.
//!
//! The content decides about the format, not the op type's name: the first bytes are looked at. Channels that
//! a file does not have are made by rules of the formats: gray is repeated, colors become a brightness, and
//! an opaque alpha is added.
//!
//! Files that are damaged, of another format, empty or too large (see `picture.rs`), attributes out of range,
//! and wrong shapes are `InvalidArgument`. TensorFlow's formats JPEG XL and `WebP` are not read. The pixels
//! of JPEG files differ from TensorFlow's by a few units, as the libraries round differently, and files that
//! are encoded do not have its bytes.
//!
//! Each file is decoded in one thread. All memory is checked against the limits before it is taken.
//!
//! # Adding a format
//!
//! A format is a module with `decode`, which returns a [`Picture`], a variant of [`Format`] with its first
//! bytes, and an arm in `still` or in `DecodeImage`. Its crate belongs to the feature `images`.
//!
//! | file | asked for 1 | asked for 3 | asked for 4 |
//! | --- | --- | --- | --- |
//! | gray | as it is (BMP: an error) | repeated | repeated, opaque (JPEG: an error) |
//! | color | brightness (BMP, GIF: an error) | as it is | opaque (JPEG, GIF: an error) |
//! | with alpha | brightness (BMP: an error) | without alpha | as it is |

mod bmp;
mod gif;
mod jpeg;
mod picture;
mod png;

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use jpeg::JpegOptions;
use picture::Picture;
use session_core::{Error, Result};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Registers the op types. Attributes are read and checked when the plan is compiled.
pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodePng", |spec| {
        let (channels, dtype) = (channels(spec)?, spec.dtype("dtype")?);
        decoder(move |data| still(data, channels, dtype, &JpegOptions::default())?.tensor(dtype, false))
    });
    registry.add("DecodeJpeg", |spec| {
        let (channels, options) = (channels(spec)?, JpegOptions::of(spec)?);
        decoder(move |data| still(data, channels, DType::UInt8, &options)?.tensor(DType::UInt8, false))
    });
    registry.add("DecodeAndCropJpeg", |spec| {
        let (channels, options) = (channels(spec)?, JpegOptions::of(spec)?);
        Ok(boxed(move |context| {
            let window = context.ints(1)?;
            let data = contents(context)?;
            // TensorFlow's op skips the decoding of rows outside of the window; only JPEG allows that.
            if Format::of(&data) != Some(Format::Jpeg) {
                return Err(Error::invalid_argument("a part is only cut out of JPEG files"));
            }
            let picture = jpeg::decode(&data, channels, &options)?.cropped(&window)?;
            context.set(0, picture.tensor(DType::UInt8, false)?);
            Ok(())
        }))
    });
    registry.add("DecodeBmp", |spec| {
        let channels = channels(spec)?;
        decoder(move |data| match Format::of(data) {
            Some(Format::Bmp) => bmp::decode(data, channels)?.tensor(DType::UInt8, false),
            other => Err(not_expected(other, "a BMP file")),
        })
    });
    registry.add("DecodeGif", |_| {
        decoder(|data| {
            let picture = match Format::of(data) {
                Some(Format::Gif) => gif::decode(data, usize::MAX)?,
                Some(Format::Bmp) => return Err(not_expected(Some(Format::Bmp), "a GIF file")),
                _ => still(data, 3, DType::UInt8, &JpegOptions::default())?,
            };
            picture.tensor(DType::UInt8, true)
        })
    });
    registry.add("DecodeImage", |spec| {
        let (channels, dtype, all) = (channels(spec)?, spec.dtype("dtype")?, spec.bool("expand_animations")?);
        decoder(move |data| match Format::of(data) {
            Some(Format::Gif) => {
                check_gif(channels)?;
                gif::decode(data, if all { usize::MAX } else { 1 })?.tensor(dtype, all)
            }
            Some(Format::Bmp) => bmp::decode(data, channels)?.tensor(dtype, false),
            _ => still(data, channels, dtype, &JpegOptions::default())?.tensor(dtype, false),
        })
    });
    registry.add("ExtractJpegShape", |spec| {
        let dtype = spec.dtype("output_type")?;
        Ok(boxed(move |context| {
            let sizes = jpeg::sizes(&contents(context)?)?;
            context.set(0, crate::kernels::array::shape_tensor(&Shape::from(sizes), dtype)?);
            Ok(())
        }))
    });
    registry.add("EncodePng", |spec| {
        let compression = spec.int("compression")?;
        if !(-1..=9).contains(&compression) {
            return Err(Error::invalid_argument(format!(
                "compression must be in [-1, 9], got {compression}"
            )));
        }
        Ok(boxed(move |context| encode_each(context, compression)))
    });
    registry.add("EncodeJpeg", |spec| {
        let options = jpeg::EncodeOptions::of(spec)?;
        Ok(boxed(move |context| encode_jpeg(context, &options)))
    });
    registry.add("EncodeJpegVariableQuality", |_| {
        Ok(boxed(|context| {
            let quality = context.int(1)?;
            encode_jpeg(context, &jpeg::EncodeOptions::with_quality(quality)?)
        }))
    });
}

/// A format that is read, recognized by the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Png,
    Jpeg,
    Gif,
    Bmp,
}

impl Format {
    /// Returns the format of a file, or `None` if its first bytes are those of no known one.
    fn of(data: &[u8]) -> Option<Format> {
        const STARTS: [(&[u8], Format); 4] = [
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"\xff\xd8\xff", Format::Jpeg),
            (b"GIF8", Format::Gif),
            (b"BM", Format::Bmp),
        ];
        STARTS.into_iter().find_map(|(start, format)| data.starts_with(start).then_some(format))
    }
}

/// Returns the error for a file of another format than `expected`, which is named with its article. An
/// unknown format has TensorFlow's message.
fn not_expected(found: Option<Format>, expected: &str) -> Error {
    Error::invalid_argument(match found {
        Some(Format::Png) => format!("expected {expected}, found a PNG file"),
        Some(Format::Jpeg) => format!("expected {expected}, found a JPEG file"),
        Some(Format::Gif) => format!("expected {expected}, found a GIF file"),
        Some(Format::Bmp) => {
            format!("expected {expected}, found a BMP file, which DecodeBmp and DecodeImage read")
        }
        None => "Unknown image file format. One of JPEG, PNG, GIF, BMP required.".to_owned(),
    })
}

/// Returns the attribute `channels`. Fails for other numbers than 0, 1, 3 and 4, when the plan is compiled.
fn channels(spec: &NodeSpec<'_>) -> Result<usize> {
    match spec.int("channels")? {
        channels @ (0 | 1 | 3 | 4) => Ok(channels as usize),
        other => Err(Error::invalid_argument(format!("channels must be 0, 1, 3, or 4, got {other}"))),
    }
}

/// Checks the number of channels for a GIF file, which has three.
fn check_gif(channels: usize) -> Result<()> {
    match channels {
        0 | 3 => Ok(()),
        other => Err(Error::invalid_argument(format!("channels must be 0 or 3 for a GIF file, got {other}"))),
    }
}

/// Decodes a PNG or JPEG file, or a GIF file of one frame. BMP files are refused: only two op types read
/// them. Samples of 16 bits are kept if `dtype` is wider than `uint8`.
///
/// `data` is the file and `channels` the attribute; `options` apply to JPEG files only.
fn still(data: &[u8], channels: usize, dtype: DType, options: &JpegOptions) -> Result<Picture> {
    match Format::of(data) {
        Some(Format::Png) => png::decode(data, channels, dtype != DType::UInt8),
        Some(Format::Jpeg) => jpeg::decode(data, channels, options),
        Some(Format::Gif) => {
            check_gif(channels)?;
            // Two frames are enough to see that there is more than one.
            let picture = gif::decode(data, 2)?;
            if picture.frames > 1 {
                let text = "Got 2 or more frames, but animated GIF files can only be decoded by DecodeGif or DecodeImage";
                return Err(Error::invalid_argument(text));
            }
            Ok(picture)
        }
        other => Err(not_expected(other, "a PNG, JPEG or GIF file")),
    }
}

/// Returns the file that input 0 holds, without a copy. Fails unless it is a scalar.
fn contents(context: &KernelContext<'_>) -> Result<Bytes> {
    match (context.input(0).shape().dims(), context.input(0).as_strings()?) {
        ([], [contents]) => Ok(contents.clone()),
        _ => {
            let text = format!("`contents` must be scalar but got shape {}", context.input(0).shape());
            Err(Error::invalid_argument(text))
        }
    }
}

/// Returns the kernel of an op type whose only input is a file and whose only output is `decode` of it.
fn decoder(decode: impl Fn(&[u8]) -> Result<Tensor> + Send + Sync + 'static) -> Result<Box<dyn Kernel>> {
    Ok(boxed(move |context| {
        let image = decode(&contents(context)?)?;
        context.set(0, image);
        Ok(())
    }))
}

/// Encodes each image of a batch of any rank. Delivers the files as strings with the shape of the batch.
/// Images have 1 to 4 channels and at least one pixel; `compression` is -1 for the library's choice, or 0 to
/// 9.
fn encode_each(context: &mut KernelContext<'_>, compression: i64) -> Result<()> {
    let image = context.input(0).clone();
    let &[ref batch @ .., height, width, channels] = image.shape().dims() else {
        let text = format!("image must be at least rank 3, but got shape {}", image.shape());
        return Err(Error::invalid_argument(text));
    };
    if height == 0 || width == 0 || !(1..=4).contains(&channels) {
        let text =
            format!("image must have 1, 2, 3, or 4 channels and not be empty, got shape {}", image.shape());
        return Err(Error::invalid_argument(text));
    }
    let (bytes, wide) = (image.as_bytes()?, image.dtype() == DType::UInt16);
    let size = height * width * channels * image.dtype().size();
    // The images of the batch lie one after the other, each of `size` bytes.
    let files = bytes
        .chunks_exact(size)
        .map(|image| png::encode(image, [height, width, channels], wide, compression));
    let files = memory::try_collected(files)?;
    context.set(0, Tensor::from_strings(files, Shape::new(batch))?);
    Ok(())
}

/// Delivers the JPEG file of one image.
fn encode_jpeg(context: &mut KernelContext<'_>, options: &jpeg::EncodeOptions) -> Result<()> {
    let image = context.input(0).clone();
    let &[height, width, channels] = image.shape().dims() else {
        let text = format!("image must be 3-dimensional, got shape {}", image.shape());
        return Err(Error::invalid_argument(text));
    };
    let file = options.encode(image.as_slice::<u8>()?, [height, width, channels])?;
    context.set(0, Tensor::string(file));
    Ok(())
}
