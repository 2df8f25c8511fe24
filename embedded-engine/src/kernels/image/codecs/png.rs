//! PNG files.
//!
//! The library expands palettes and samples of less than 8 bits; channels and widths are converted here, by
//! the rules of libpng that TensorFlow relies on.

use super::picture::{MOST, Picture, Samples, checked_size};
use png::{BitDepth, ColorType, Compression, Limits, Transformations};
use session_core::{Error, Result};
use std::io::Cursor;
use tensor::{Bytes, memory};

/// Returns the error for a file that the library cannot read, with the library's as its source.
fn damaged(error: png::DecodingError) -> Error {
    Error::invalid_argument("Invalid PNG data").with_source(error)
}

/// Decodes to samples of 8 or 16 bits, with the channels of the file for 0. With `wide` samples have 16 bits:
/// those of 8 are multiplied by 257, so 255 becomes 65535. Without it, samples of 16 bits lose the lower
/// byte.
///
/// ```text
/// file          uint8                 uint16, float32 (before the division)
/// 1 to 8 bits   as expanded           times 257
/// 16 bits       the upper byte        as it is
/// ```
///
/// Fails for damaged files, and for those whose pixels exceed `MOST`. An animation is read up to its first
/// frame.
///
/// `data` is the file and `channels` the attribute of the op.
pub(super) fn decode(data: &[u8], channels: usize, wide: bool) -> Result<Picture> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), Limits { bytes: MOST });
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (height, width) = (info.height as usize, info.width as usize);
    // The transparent color of a gray or RGB file adds no channel to those of the file, unlike that of a
    // palette.
    let own = match (info.color_type, info.trns.is_some()) {
        (ColorType::Indexed, true) => 4,
        (ColorType::Indexed, false) => 3,
        (other, _) => other.samples(),
    };
    let wanted = if channels == 0 { own } else { channels };
    // An opaque pixel has the largest sample of the file, even if samples have few bits.
    let opaque = ((1u32 << info.bit_depth as u8) - 1) as u16;
    checked_size(1, height, width, 4)?;
    // After the expansion; the header's color type and depth are those of the file.
    let (color, depth) = reader.output_color_type();
    let size = reader.output_buffer_size().filter(|&size| size <= 2 * MOST);
    let size = size.ok_or_else(|| Error::invalid_argument("a PNG file is too large to be decoded"))?;
    let mut bytes = memory::filled(0u8, size)?;
    reader.next_frame(&mut bytes).map_err(damaged)?;
    let from = color.samples();
    let samples = match depth {
        BitDepth::Sixteen => {
            let words = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let words = converted(&memory::collected(words)?, [from, wanted], opaque)?;
            if wide {
                Samples::Words(words)
            } else {
                Samples::Bytes(memory::collected(words.iter().map(|word| (word >> 8) as u8))?)
            }
        }
        _ => {
            let bytes = converted(&bytes, [from, wanted], opaque as u8)?;
            if wide {
                Samples::Words(memory::collected(bytes.iter().map(|&byte| u16::from(byte) * 257))?)
            } else {
                Samples::Bytes(bytes)
            }
        }
    };
    Ok(Picture { frames: 1, height, width, channels: wanted, samples })
}

/// A sample of a PNG file, of 8 or 16 bits.
trait Sample: Copy + Default + PartialEq {
    /// Returns the brightness of red, green and blue. The widths differ in their rounding, as they do in
    /// libpng.
    fn gray(color: [Self; 3]) -> Self;
}

/// The parts of red, green and blue in gray, in units of 1/32768: as the reference library rounds them. They
/// add up to 32768, so white stays white.
const SHARES: [u64; 3] = [9797, 19234, 3737];

impl Sample for u8 {
    fn gray(color: [u8; 3]) -> u8 {
        (SHARES.iter().zip(color).map(|(share, part)| share * u64::from(part)).sum::<u64>() >> 15) as u8
    }
}

impl Sample for u16 {
    fn gray(color: [u16; 3]) -> u16 {
        ((SHARES.iter().zip(color).map(|(share, part)| share * u64::from(part)).sum::<u64>() + 16384) >> 15)
            as u16
    }
}

/// Returns pixels of `from` channels as pixels of `to` channels, 1 to 4 both. A missing alpha is `opaque`;
/// one that is not wanted is dropped.
fn converted<S: Sample>(samples: &[S], [from, to]: [usize; 2], opaque: S) -> Result<Vec<S>> {
    let mut converted = memory::reserve(samples.len() / from * to)?;
    for pixel in samples.chunks_exact(from) {
        let (color, alpha) = match *pixel {
            [gray] => ([gray; 3], opaque),
            [gray, alpha] => ([gray; 3], alpha),
            [r, g, b] => ([r, g, b], opaque),
            [r, g, b, alpha, ..] => ([r, g, b], alpha),
            [] => ([S::default(); 3], opaque),
        };
        let is_gray = color[0] == color[1] && color[1] == color[2];
        let gray = if is_gray { color[0] } else { S::gray(color) };
        match to {
            1 => converted.push(gray),
            2 => converted.extend([gray, alpha]),
            3 => converted.extend(color),
            _ => converted.extend([color[0], color[1], color[2], alpha]),
        }
    }
    Ok(converted)
}

/// Returns the file of an image by rows, of 1 to 4 channels. With `wide` samples have 16 bits in the byte
/// order of the machine. `compression` is zlib's level, which is mapped to the four of the library; it
/// changes the size of the file and no pixel.
///
/// An alpha channel is written as it is. Fails only for sides beyond 32 bits and if the library refuses.
pub(super) fn encode(
    pixels: &[u8],
    [height, width, channels]: [usize; 3],
    wide: bool,
    compression: i64,
) -> Result<Bytes> {
    let size = |size: usize| {
        u32::try_from(size).map_err(|_| {
            Error::invalid_argument(format!("{size} pixels are too many for a side of a PNG file"))
        })
    };
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size(width)?, size(height)?);
    encoder.set_color(
        [ColorType::Grayscale, ColorType::GrayscaleAlpha, ColorType::Rgb, ColorType::Rgba][channels - 1],
    );
    encoder.set_depth(if wide { BitDepth::Sixteen } else { BitDepth::Eight });
    encoder.set_compression(match compression {
        0 => Compression::NoCompression,
        1..=3 => Compression::Fast,
        7..=9 => Compression::High,
        _ => Compression::Balanced,
    });
    // The format is big-endian.
    let swapped: Vec<u8>;
    let pixels = if wide {
        let words = pixels.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]).to_be_bytes());
        swapped = words.flatten().collect();
        &swapped
    } else {
        pixels
    };
    let failed = |error: png::EncodingError| {
        Error::invalid_argument("an image cannot be encoded as PNG").with_source(error)
    };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(Bytes::from(file))
}
