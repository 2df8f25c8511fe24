//! Decoded pixels, between a file and a tensor.

use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, memory};

/// The largest number of samples that a file may decode to. The original has limits of this size; a small
/// file must not be able to request more. In samples, of one or two bytes.
pub(super) const MOST: usize = 1 << 29;

/// The samples of a picture.
pub(super) enum Samples {
    /// Samples of 8 bits, of any format.
    Bytes(Vec<u8>),
    /// Samples of 16 bits, of a PNG file. In the byte order of the machine.
    Words(Vec<u16>),
}

/// One frame or several, each of rows of pixels of channels. There are `frames * height * width * channels`
/// samples.
pub(super) struct Picture {
    /// The number of frames; 1 for all formats but GIF.
    pub(super) frames: usize,
    /// The number of rows, at least 1.
    pub(super) height: usize,
    /// The number of pixels in a row, at least 1.
    pub(super) width: usize,
    /// The number of samples of a pixel, 1 to 4.
    pub(super) channels: usize,
    /// The samples, row by row, pixel by pixel.
    pub(super) samples: Samples,
}

/// Returns the number of samples of a picture of these sizes. Fails if it is empty, larger than [`MOST`], or
/// larger than the memory limit allows: headers are checked before memory is taken for what they promise.
///
/// `frames` is the number of frames of a GIF file, otherwise 1; `height`, `width` and `channels` come from a
/// header.
pub(super) fn checked_size(frames: usize, height: usize, width: usize, channels: usize) -> Result<usize> {
    let size = [height, width, channels].into_iter().try_fold(frames, usize::checked_mul);
    match size.filter(|&size| size <= MOST && height > 0 && width > 0) {
        Some(size) => {
            memory::check(size)?;
            Ok(size)
        }
        None => {
            let text = format!(
                "an image of {frames} x {height} x {width} pixels with {channels} channels is empty or too large to be decoded"
            );
            Err(Error::invalid_argument(text))
        }
    }
}

impl Picture {
    /// Returns the tensor of the pixels, with an axis of frames or without. Floats are from 0 to 1. A sample
    /// of 8 bits becomes one of 16 by a shift, as in TensorFlow; only PNG files are widened by 257. Fails for
    /// other dtypes, and for words as `uint8`.
    ///
    /// ```text
    /// samples    uint8      uint16          float32
    /// 8 bits     as is      times 256       times 1 / 255
    /// 16 bits    error      as is           times 1 / 65535
    /// ```
    pub(super) fn tensor(self, dtype: DType, frames: bool) -> Result<Tensor> {
        let dims = [self.frames, self.height, self.width, self.channels];
        let shape = Shape::new(if frames { &dims } else { &dims[1..] });
        Ok(match (self.samples, dtype) {
            (Samples::Bytes(bytes), DType::UInt8) => Tensor::from_vec(bytes, shape)?,
            (Samples::Words(words), DType::UInt16) => Tensor::from_vec(words, shape)?,
            (Samples::Bytes(bytes), DType::UInt16) => {
                Tensor::from_vec(memory::collected(bytes.iter().map(|&byte| u16::from(byte) << 8))?, shape)?
            }
            (Samples::Bytes(bytes), DType::Float32) => {
                let values = bytes.iter().map(|&byte| f32::from(byte) * (1.0 / 255.0));
                Tensor::from_vec(memory::collected(values)?, shape)?
            }
            (Samples::Words(words), DType::Float32) => {
                let values = words.iter().map(|&word| f32::from(word) * (1.0 / 65535.0));
                Tensor::from_vec(memory::collected(values)?, shape)?
            }
            (_, other) => return Err(crate::dispatch::unsupported(other)),
        })
    }

    /// Returns the part in a window `[y, x, height, width]`. Fails for a window that is empty or partly
    /// outside, and for samples of 16 bits, which JPEG files do not have.
    pub(super) fn cropped(self, window: &[i64]) -> Result<Picture> {
        let (Samples::Bytes(bytes), [y, x, height, width]) = (self.samples, window) else {
            return Err(Error::invalid_argument(format!("crop_window must have 4 numbers, got {window:?}")));
        };
        let part = |start: i64, length: i64, size: usize| {
            let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
            (length > 0 && start.checked_add(length)? <= size).then_some((start, length))
        };
        let parts = part(*y, *height, self.height).zip(part(*x, *width, self.width));
        let Some(((y, height), (x, width))) = parts else {
            let text = format!(
                "crop_window {window:?} is outside of the image of {} x {} pixels",
                self.height, self.width
            );
            return Err(Error::invalid_argument(text));
        };
        let mut cut = memory::reserve(height * width * self.channels)?;
        for row in bytes.chunks_exact(self.width * self.channels).skip(y).take(height) {
            cut.extend_from_slice(&row[x * self.channels..][..width * self.channels]);
        }
        Ok(Picture { height, width, samples: Samples::Bytes(cut), ..self })
    }
}
