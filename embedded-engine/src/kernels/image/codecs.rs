//! Image files: PNG, JPEG, GIF and BMP.

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

/// A format, by the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Png,
    Jpeg,
    Gif,
    Bmp,
}

impl Format {
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

fn channels(spec: &NodeSpec<'_>) -> Result<usize> {
    match spec.int("channels")? {
        channels @ (0 | 1 | 3 | 4) => Ok(channels as usize),
        other => Err(Error::invalid_argument(format!("channels must be 0, 1, 3, or 4, got {other}"))),
    }
}

fn check_gif(channels: usize) -> Result<()> {
    match channels {
        0 | 3 => Ok(()),
        other => Err(Error::invalid_argument(format!("channels must be 0 or 3 for a GIF file, got {other}"))),
    }
}

/// Decodes what has one frame.
fn still(data: &[u8], channels: usize, dtype: DType, options: &JpegOptions) -> Result<Picture> {
    match Format::of(data) {
        Some(Format::Png) => png::decode(data, channels, dtype != DType::UInt8),
        Some(Format::Jpeg) => jpeg::decode(data, channels, options),
        Some(Format::Gif) => {
            check_gif(channels)?;
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

/// Returns the file that input 0 holds.
fn contents(context: &KernelContext<'_>) -> Result<Bytes> {
    match (context.input(0).shape().dims(), context.input(0).as_strings()?) {
        ([], [contents]) => Ok(contents.clone()),
        _ => {
            let text = format!("`contents` must be scalar but got shape {}", context.input(0).shape());
            Err(Error::invalid_argument(text))
        }
    }
}

fn decoder(decode: impl Fn(&[u8]) -> Result<Tensor> + Send + Sync + 'static) -> Result<Box<dyn Kernel>> {
    Ok(boxed(move |context| {
        let image = decode(&contents(context)?)?;
        context.set(0, image);
        Ok(())
    }))
}

/// Encodes each image of a batch of any rank.
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
    let files = bytes
        .chunks_exact(size)
        .map(|image| png::encode(image, [height, width, channels], wide, compression));
    let files = memory::try_collected(files)?;
    context.set(0, Tensor::from_strings(files, Shape::new(batch))?);
    Ok(())
}

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
