//! JPEG files.
//!
//! The library decodes whole files. A reduction (`ratio`) is made afterwards, by means over squares of
//! pixels; TensorFlow's library reduces while it decodes, with nearly the same result. Chroma is upsampled by
//! the library; `fancy_upscaling` and `dct_method` have no effect, and `acceptable_fraction` is not read.

use super::picture::{MOST, Picture, Samples, checked_size};
use crate::kernel::NodeSpec;
use jpeg_decoder::{Decoder, PixelFormat};
use jpeg_encoder::{ColorType, Encoder, PixelDensity, PixelDensityUnit, SamplingFactor};
use session_core::{Code, Error, Result};
use tensor::{Bytes, memory};

/// Options of decoding. The method of the cosine transform is the library's, whose results are within a few
/// units of the original's. The default is the whole size, without a recovery.
#[derive(Clone, Copy)]
pub(super) struct JpegOptions {
    /// The factor by which both sides are reduced: 1, 2, 4 or 8.
    ratio: usize,
    /// True to accept a file that ends early; the missing part is what the library makes of it.
    recover: bool,
}

impl Default for JpegOptions {
    fn default() -> JpegOptions {
        JpegOptions { ratio: 1, recover: false }
    }
}

impl JpegOptions {
    /// Reads the attributes. Fails for a ratio or a method that TensorFlow does not know.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<JpegOptions> {
        let ratio = match spec.int("ratio")? {
            ratio @ (1 | 2 | 4 | 8) => ratio as usize,
            other => {
                return Err(Error::invalid_argument(format!("ratio must be 1, 2, 4, or 8, got {other}")));
            }
        };
        match spec.str("dct_method")? {
            "" | "INTEGER_FAST" | "INTEGER_ACCURATE" => {}
            other => {
                let text = format!(
                    "dct_method must be one of {{'', 'INTEGER_FAST', 'INTEGER_ACCURATE'}}, got '{other}'"
                );
                return Err(Error::invalid_argument(text));
            }
        }
        Ok(JpegOptions { ratio, recover: spec.bool("try_recover_truncated")? })
    }
}

/// Returns the error for a file that the library cannot read, with the library's as its source.
fn damaged(error: jpeg_decoder::Error) -> Error {
    Error::invalid_argument("Invalid JPEG data or crop window").with_source(error)
}

/// Returns a decoder that has read the header and takes no more memory than `MOST` for its result.
fn opened(data: &[u8]) -> Result<Decoder<&[u8]>> {
    let mut decoder = Decoder::new(data);
    decoder.set_max_decoding_buffer_size(MOST);
    decoder.read_info().map_err(damaged)?;
    Ok(decoder)
}

/// Returns height, width and channels of a file, of which only the header is read. A file of four channels is
/// decoded to three.
pub(super) fn sizes(data: &[u8]) -> Result<[usize; 3]> {
    let decoder = opened(data)?;
    let info = decoder.info().ok_or_else(|| Error::invalid_argument("Invalid JPEG data: no frame"))?;
    Ok([info.height.into(), info.width.into(), info.pixel_format.pixel_bytes()])
}

/// Decodes to 1 or 3 channels; those of the file for 0. With `recover`, a file that ends early is decoded as
/// far as it goes; if that fails as well, the error is that of the first attempt.
///
/// Four channels are an error, as is brightness of a file in four inks. 16 bits a sample and arithmetic
/// coding, which the library lacks, are errors, too.
///
/// `data` is the file, `channels` the attribute, and `options` hold the reduction and the recovery.
pub(super) fn decode(data: &[u8], channels: usize, options: &JpegOptions) -> Result<Picture> {
    match decode_whole(data, channels, options.ratio) {
        Err(error) if options.recover && error.code() == Code::InvalidArgument => {
            // The end that is missing: what is there is shown.
            let ended = [data, b"\xff\xd9"].concat();
            decode_whole(&ended, channels, options.ratio).map_err(|_| error)
        }
        other => other,
    }
}

/// Decodes a file and reduces it by `ratio`. Gray is repeated for 3 channels, colors become brightness for 1,
/// and four inks become three colors.
fn decode_whole(data: &[u8], channels: usize, ratio: usize) -> Result<Picture> {
    let mut decoder = opened(data)?;
    let [height, width, own] = sizes(data)?;
    if channels == 4 || (own == 4 && channels == 1) {
        let text = format!("a JPEG file of {own} channels cannot be decoded to {channels}");
        return Err(Error::invalid_argument(text));
    }
    // Before the decoder takes memory, by the header alone.
    checked_size(1, height, width, own)?;
    let pixels = decoder.decode().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| Error::invalid_argument("Invalid JPEG data: no frame"))?;
    let gray = channels == 1;
    let (own, samples) = match info.pixel_format {
        PixelFormat::L8 if channels == 3 => (3, pixels.iter().flat_map(|&gray| [gray; 3]).collect()),
        PixelFormat::L8 => (1, pixels),
        PixelFormat::L16 => {
            return Err(Error::invalid_argument("JPEG files of 16 bits a sample are not decoded"));
        }
        PixelFormat::RGB24 if gray => (1, memory::collected(pixels.chunks_exact(3).map(luma))?),
        PixelFormat::RGB24 => (3, pixels),
        PixelFormat::CMYK32 => {
            let color = |ink: &[u8]| {
                // Inks take light away one after the other; black covers all.
                let over = 255 - u16::from(ink[3]);
                [0, 1, 2].map(|at| (over * (255 - u16::from(ink[at])) / 255) as u8)
            };
            (3, pixels.chunks_exact(4).flat_map(color).collect())
        }
    };
    if ratio == 1 {
        return Ok(Picture { frames: 1, height, width, channels: own, samples: Samples::Bytes(samples) });
    }
    reduced(&samples, [height, width, own], ratio)
}

/// Returns the mean of each square of `ratio` pixels, rounded to the nearest number. Squares at the end may
/// be smaller: 5 pixels by 2 are 3.
///
/// `samples` are `[height, width, channels]`. The sizes of the result are rounded up.
fn reduced(samples: &[u8], [height, width, channels]: [usize; 3], ratio: usize) -> Result<Picture> {
    let (rows, columns) = (height.div_ceil(ratio), width.div_ceil(ratio));
    let mut means = memory::reserve(rows * columns * channels)?;
    for at in 0..rows * columns * channels {
        let (y, x, c) = (at / channels / columns * ratio, at / channels % columns * ratio, at % channels);
        let (ys, xs) = (y..(y + ratio).min(height), x..(x + ratio).min(width));
        let count = (ys.len() * xs.len()) as u32;
        let row = |y: usize| xs.clone().map(move |x| u32::from(samples[(y * width + x) * channels + c]));
        let sum: u32 = ys.flat_map(row).sum();
        // Rounded to the nearest.
        means.push(((sum + count / 2) / count) as u8);
    }
    Ok(Picture { frames: 1, height: rows, width: columns, channels, samples: Samples::Bytes(means) })
}

/// Returns the brightness of a color. In 16-bit fixed point, with the weights 0.299, 0.587 and 0.114 of the
/// format's own conversion.
fn luma(color: &[u8]) -> u8 {
    let [r, g, b] = [color[0], color[1], color[2]].map(u32::from);
    ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as u8
}

/// Options of encoding, which are TensorFlow's attributes.
pub(super) struct EncodeOptions {
    /// The layout that is expected: `grayscale`, `rgb`, or empty for that of the image.
    format: String,
    /// The quality, from 0 to 100.
    quality: u8,
    /// True for a file that is shown coarsely first.
    progressive: bool,
    /// True for Huffman tables of this image: a smaller file for more time.
    optimize: bool,
    /// True to store colors at half the resolution in both directions.
    downsample: bool,
    /// The number of pixels in an inch or centimeter, which viewers may look at.
    density: PixelDensity,
    /// An XMP packet, which goes into an application segment unless it is empty.
    metadata: Vec<u8>,
}

/// Returns a quality of 0 to 100, or an error.
fn checked_quality(quality: i64) -> Result<u8> {
    match u8::try_from(quality).ok().filter(|&quality| quality <= 100) {
        Some(quality) => Ok(quality),
        None => Err(Error::invalid_argument(format!("quality must be in [0,100], got {quality}"))),
    }
}

impl EncodeOptions {
    /// Returns the defaults of all attributes with this quality.
    pub(super) fn with_quality(quality: i64) -> Result<EncodeOptions> {
        Ok(EncodeOptions {
            format: String::new(),
            quality: checked_quality(quality)?,
            progressive: false,
            optimize: false,
            downsample: true,
            density: PixelDensity::dpi(300),
            metadata: Vec::new(),
        })
    }

    /// Reads the attributes. Fails for a quality or a density out of range.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<EncodeOptions> {
        let dots = |name: &str| -> Result<u16> {
            let dots = spec.int(name)?;
            u16::try_from(dots)
                .map_err(|_| Error::invalid_argument(format!("{name} must be in [0, 65535], got {dots}")))
        };
        let (x, y) = (dots("x_density")?, dots("y_density")?);
        Ok(EncodeOptions {
            format: spec.str("format")?.to_owned(),
            progressive: spec.bool("progressive")?,
            optimize: spec.bool("optimize_size")?,
            downsample: spec.bool("chroma_downsampling")?,
            density: PixelDensity {
                density: (x, y),
                unit: match spec.str("density_unit")? {
                    "cm" => PixelDensityUnit::Centimeters,
                    _ => PixelDensityUnit::Inches,
                },
            },
            metadata: spec.str("xmp_metadata")?.as_bytes().to_vec(),
            ..EncodeOptions::with_quality(spec.int("quality")?)?
        })
    }

    /// Returns the file of an image of one or three channels by rows. Fails for other channels, a side of 0
    /// or more than 65535 pixels, and a packet that is too long for a segment. The pixels are `uint8`. The
    /// quality scales the library's quantization tables.
    pub(super) fn encode(&self, pixels: &[u8], [height, width, channels]: [usize; 3]) -> Result<Bytes> {
        let color = match (self.format.as_str(), channels) {
            ("" | "grayscale", 1) => ColorType::Luma,
            ("" | "rgb", 3) => ColorType::Rgb,
            (format, _) => {
                let text = format!(
                    "image must have 1 channel (grayscale) or 3 (rgb), got {channels} for format '{format}'"
                );
                return Err(Error::invalid_argument(text));
            }
        };
        let size = |size: usize| {
            u16::try_from(size).ok().filter(|&size| size > 0).ok_or_else(|| {
                Error::invalid_argument(format!("a side of a JPEG file has 1 to 65535 pixels, not {size}"))
            })
        };
        let (width, height) = (size(width)?, size(height)?);
        let failed = |error: jpeg_encoder::EncodingError| {
            Error::invalid_argument("an image cannot be encoded as JPEG").with_source(error)
        };
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.quality);
        encoder.set_sampling_factor(if self.downsample {
            SamplingFactor::F_2_2
        } else {
            SamplingFactor::F_1_1
        });
        encoder.set_progressive(self.progressive);
        encoder.set_optimized_huffman_tables(self.optimize);
        encoder.set_density(self.density);
        if !self.metadata.is_empty() {
            // The identifier of XMP packets in an application segment.
            let segment = [b"http://ns.adobe.com/xap/1.0/\0", self.metadata.as_slice()].concat();
            encoder.add_app_segment(1, segment).map_err(failed)?;
        }
        encoder.encode(pixels, width, height, color).map_err(failed)?;
        Ok(Bytes::from(file))
    }
}
