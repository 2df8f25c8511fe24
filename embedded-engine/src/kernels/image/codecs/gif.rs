//! GIF files.
//!
//! A frame is a rectangle of indices into its own palette, or that of the file. The library decompresses
//! frames; they are put together here, by the rules of TensorFlow, which differ from those of browsers.

use super::picture::{MOST, Picture, Samples, checked_size};
use gif::{ColorOutput, DecodeOptions, Frame, MemoryLimit};
use session_core::{Error, Result};
use std::num::NonZeroU64;
use tensor::memory;

/// Returns the error for a file that the library cannot read, with the library's as its source.
fn damaged(error: gif::DecodingError) -> Error {
    Error::invalid_argument("Invalid GIF data").with_source(error)
}

/// Decodes up to `most` frames. As in the original, a picture is as large as the largest frame, transparent
/// pixels show the frame before, whatever its disposal is, and a file that ends early has the frames that are
/// complete. The result has 3 channels of 8 bits. Fails if not even the first frame is complete, or if the
/// frames together are larger than `MOST`.
///
/// ```text
/// frame 1    its pixels at its place in a picture as large as the largest frame, black elsewhere
/// frame n    the picture before, with the opaque pixels of the frame at its place
/// ```
pub(super) fn decode(data: &[u8], most: usize) -> Result<Picture> {
    let mut options = DecodeOptions::new();
    // Indices rather than colors: the transparent index differs from frame to frame, and a frame is a quarter
    // of the size.
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(MOST as u64).unwrap_or(NonZeroU64::MIN)));
    let mut decoder = options.read_info(data).map_err(damaged)?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let (mut frames, mut kept) = (Vec::<Frame<'static>>::new(), 0);
    while frames.len() < most {
        match decoder.read_next_frame() {
            Ok(Some(frame)) => {
                kept += frame.buffer.len();
                if kept > MOST {
                    return Err(Error::invalid_argument("a GIF file is too large to be decoded"));
                }
                memory::grow(&mut frames, 1)?;
                frames.push(frame.clone());
            }
            Err(error) if frames.is_empty() => return Err(damaged(error)),
            Ok(None) | Err(_) => break,
        }
    }
    let size = |of: fn(&Frame<'_>) -> u16| frames.iter().map(of).max().map_or(0, usize::from);
    let (height, width) = (size(|frame| frame.height), size(|frame| frame.width));
    let mut pixels = memory::filled(0u8, checked_size(frames.len(), height, width, 3)?)?;
    let picture = height * width * 3;
    for (at, frame) in frames.iter().enumerate() {
        if at > 0 {
            // The frame begins as a copy of the one before.
            pixels.copy_within((at - 1) * picture..at * picture, at * picture);
        }
        let palette = frame.palette.as_deref().or(global.as_deref());
        let palette =
            palette.ok_or_else(|| Error::invalid_argument("a frame of a GIF file has no colors"))?;
        draw(frame, palette, &mut pixels[at * picture..][..picture], [height, width]);
    }
    Ok(Picture { frames: frames.len(), height, width, channels: 3, samples: Samples::Bytes(pixels) })
}

/// Draws the part of a frame that lies in the picture. Indices without a color are black. `picture` holds the
/// frame before, `[height, width, 3]`, and keeps it where the frame is transparent.
fn draw(frame: &Frame<'_>, palette: &[u8], picture: &mut [u8], [height, width]: [usize; 2]) {
    let (top, left, columns) = (usize::from(frame.top), usize::from(frame.left), usize::from(frame.width));
    // `chunks_exact` does not accept 0.
    if columns == 0 {
        return;
    }
    for (y, row) in frame.buffer.chunks_exact(columns).enumerate().take(height.saturating_sub(top)) {
        for (x, &index) in row.iter().enumerate().take(width.saturating_sub(left)) {
            if frame.transparent == Some(index) {
                continue;
            }
            let color = palette.get(3 * usize::from(index)..).and_then(<[u8]>::first_chunk::<3>);
            let pixel = ((top + y) * width + left + x) * 3;
            picture[pixel..pixel + 3].copy_from_slice(color.unwrap_or(&[0; 3]));
        }
    }
}
