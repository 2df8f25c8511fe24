//! BMP files without compression: gray of 8 bits, colors of 24 and 32.
//!
//! The header has, in little-endian numbers, the start of the pixels at byte 10, width and height at 18 and
//! 22, and the bits of a pixel at 28. Rows are padded to a multiple of four bytes and begin at the bottom,
//! unless the height is negative. Colors are in the order blue, green, red. The kind of compression and the
//! palette are not looked at.

use super::picture::{Picture, Samples, checked_size};
use session_core::{Error, Result};
use tensor::memory;

/// Returns `N` bytes of the header, or an error if the file ends before.
fn field<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N]> {
    data.get(at..).and_then(<[u8]>::first_chunk::<N>).copied().ok_or_else(|| {
        Error::invalid_argument(format!("Incomplete bmp content: {} bytes do not hold a header", data.len()))
    })
}

/// Decodes to 3 or 4 channels; those of the file for 0. The indices of a palette are taken for gray. Fails
/// for other numbers of bits, for one channel, and for a file that is shorter than its pixels.
///
/// `channels` is 0, 3 or 4. With 4, pixels without alpha are opaque; with 3, alpha is dropped. A start that
/// lies in the header is accepted, as nothing else is known about it.
pub(super) fn decode(data: &[u8], channels: usize) -> Result<Picture> {
    let start = u32::from_le_bytes(field(data, 10)?) as usize;
    let (width, height) = (i32::from_le_bytes(field(data, 18)?), i32::from_le_bytes(field(data, 22)?));
    let bits = u16::from_le_bytes(field(data, 28)?);
    let own = match bits {
        8 | 24 | 32 => usize::from(bits / 8),
        _ => {
            let text = format!("BMP files of 8, 24 or 32 bits a pixel are decoded, not of {bits}");
            return Err(Error::invalid_argument(text));
        }
    };
    if channels == 1 {
        return Err(Error::invalid_argument("channels attribute 1 does not fit a BMP file: 0, 3 and 4 do"));
    }
    let wanted = if channels == 0 { own } else { channels };
    let from_top = height < 0;
    // `unsigned_abs`, as the most negative height has no positive counterpart.
    let height = height.unsigned_abs() as usize;
    let width = usize::try_from(width).unwrap_or(0);
    let size = checked_size(1, height, width, wanted)?;
    // No overflow: `checked_size` has bounded height times width.
    let stride = (own * width).div_ceil(4) * 4;
    // The last row may lack its padding.
    let end =
        stride.checked_mul(height - 1).and_then(|rows| start.checked_add(rows)?.checked_add(own * width));
    if end.is_none_or(|end| end > data.len()) {
        let text =
            format!("Incomplete bmp content: {} bytes do not hold {height} x {width} pixels", data.len());
        return Err(Error::invalid_argument(text));
    }
    let mut pixels = memory::reserve(size)?;
    for y in 0..height {
        let row = if from_top { y } else { height - 1 - y };
        for pixel in data[start + row * stride..][..own * width].chunks_exact(own) {
            let (color, alpha) = match *pixel {
                [b, g, r] => ([r, g, b], 255),
                [b, g, r, alpha] => ([r, g, b], alpha),
                _ => ([pixel[0]; 3], 255),
            };
            match wanted {
                1 => pixels.push(color[0]),
                3 => pixels.extend(color),
                _ => pixels.extend([color[0], color[1], color[2], alpha]),
            }
        }
    }
    Ok(Picture { frames: 1, height, width, channels: wanted, samples: Samples::Bytes(pixels) })
}
