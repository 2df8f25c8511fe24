//! Pictures.

use crate::SummaryError;
use crate::proto;
use bytes::Bytes;
use std::ops::{Add, Mul};
use tensor::{DType, Shape, Tensor, f16};

/// An encoded picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Rows of pixels.
    pub height: i32,
    /// Pixels in a row.
    pub width: i32,
    /// Channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub colorspace: i32,
    /// A PNG file. Readers show JPEG and GIF as well.
    pub encoded: Bytes,
}

/// The channels of pixels that have no finite value: red, opaque.
const BAD_COLOR: [u8; 4] = [255, 0, 0, 255];

impl Image {
    /// Encodes pixels, an array of height, width and channels (1 to 4), as PNG.
    ///
    /// Bytes (`uint8`) are taken as they are. Floats (`float16`, `float32`, `float64`) are scaled so
    /// that the largest size becomes full brightness: if all are at least 0, by 255 over the largest;
    /// otherwise by 127 over the largest absolute value, around 128. A pixel with a channel that is not
    /// finite is red. As in TensorFlow the scale is single precision, and the rest the elements' own.
    ///
    /// ```
    /// use summary::Image;
    /// use tensor::Tensor;
    /// let image = Image::from_pixels(&Tensor::from_vec(vec![0.0f32, 0.5, 1.0, 0.25], [2, 2, 1])?)?;
    /// assert_eq!((image.height, image.width, image.colorspace), (2, 2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::Shape`] for another rank, other channels, no pixels, or more than 2^31;
    /// [`SummaryError::DType`]; [`SummaryError::Image`] when the encoder fails.
    pub fn from_pixels(pixels: &Tensor) -> Result<Image, SummaryError> {
        let wrong = |rule| SummaryError::Shape { what: "image", shape: pixels.shape().clone(), rule };
        let &[height, width, channels] = pixels.shape().dims() else {
            return Err(wrong("it needs height, width and channels"));
        };
        if !(1..=4).contains(&channels) {
            return Err(wrong("channels are 1 to 4"));
        }
        if height == 0 || width == 0 {
            return Err(wrong("it has no pixels"));
        }
        let size = |count: usize| i32::try_from(count).map_err(|_| wrong("sizes are under 2^31"));
        let (rows, columns) = (size(height)?, size(width)?);
        size(height.saturating_mul(width))?;
        let bytes = match pixels.dtype() {
            DType::UInt8 => return Image::encoded(pixels.as_slice()?, rows, columns, channels),
            DType::Float32 => normalized(pixels.as_slice::<f32>()?, channels),
            DType::Float16 => normalized(pixels.as_slice::<f16>()?, channels),
            DType::Float64 => normalized(pixels.as_slice::<f64>()?, channels),
            dtype => return Err(SummaryError::DType { what: "image", dtype }),
        };
        Image::encoded(&bytes, rows, columns, channels)
    }

    fn encoded(bytes: &[u8], height: i32, width: i32, channels: usize) -> Result<Image, SummaryError> {
        let color = match channels {
            1 => png::ColorType::Grayscale,
            2 => png::ColorType::GrayscaleAlpha,
            3 => png::ColorType::Rgb,
            _ => png::ColorType::Rgba,
        };
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width.unsigned_abs(), height.unsigned_abs());
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(bytes)?;
            writer.finish()
        });
        written.map_err(|error| SummaryError::Image { reason: error.to_string() })?;
        Ok(Image { height, width, colorspace: channels as i32, encoded: file.into() })
    }
}

/// Returns the images of a batch (one along the first dimension each), at most `max` of them.
pub(crate) fn batch(pixels: &Tensor, max: usize) -> Result<Vec<Image>, SummaryError> {
    if pixels.shape().rank() != 4 {
        let rule = "a batch needs number, height, width and channels";
        return Err(SummaryError::Shape { what: "image", shape: pixels.shape().clone(), rule });
    }
    // An empty batch has no images and is fine; images without pixels are not.
    if pixels.elements() == 0 && pixels.shape()[0] > 0 {
        let rule = "it has no pixels";
        return Err(SummaryError::Shape { what: "image", shape: Shape::clone(pixels.shape()), rule });
    }
    pixels.iter_rows()?.take(max).map(|pixels| Image::from_pixels(&pixels)).collect()
}

/// Floating types whose operations round to themselves.
trait Real: Copy + PartialOrd + Add<Output = Self> + Mul<Output = Self> {
    fn from_f32(value: f32) -> Self;
    fn to_f32(self) -> f32;
    fn finite(self) -> bool;
    /// Returns the byte below; values are 0 to 255 but for rounding.
    fn truncated(self) -> u8;
}

macro_rules! real {
    ($type:ty, $from:expr, $to:expr) => {
        impl Real for $type {
            fn from_f32(value: f32) -> Self {
                $from(value)
            }
            fn to_f32(self) -> f32 {
                $to(self)
            }
            fn finite(self) -> bool {
                self.is_finite()
            }
            fn truncated(self) -> u8 {
                f64::from(self) as u8
            }
        }
    };
}

real!(f16, f16::from_f32, f32::from);
real!(f32, |value| value, |value| value);
real!(f64, f64::from, |value| value as f32);

/// Floats as bytes, see [`Image::from_pixels`].
fn normalized<T: Real>(values: &[T], channels: usize) -> Vec<u8> {
    let is_good = |pixel: &[T]| pixel.iter().all(|value| value.finite());
    // A pixel with one value that is not finite does not count at all, so that its other values do not set
    // the scale.
    let good = values.chunks_exact(channels).filter(|pixel| is_good(pixel)).flatten().copied();
    let range = good.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((min, max)) => {
            Some((if value < min { value } else { min }, if value > max { value } else { max }))
        }
    });
    let (min, max) = range.map_or((0.0, 0.0), |(min, max)| (min.to_f32(), max.to_f32()));
    let (scale, offset) = scale_and_offset(min, max);
    // Scaled in the type of the image, as TensorFlow does: in single precision, bytes of a half-precision
    // image would differ.
    let (scale, offset) = (T::from_f32(scale), T::from_f32(offset));
    let byte = |value: T| (value * scale + offset).truncated();
    let mut bytes = Vec::with_capacity(values.len());
    for pixel in values.chunks_exact(channels) {
        if is_good(pixel) {
            bytes.extend(pixel.iter().map(|&value| byte(value)));
        } else {
            bytes.extend_from_slice(&BAD_COLOR[..channels]);
        }
    }
    bytes
}

fn scale_and_offset(min: f32, max: f32) -> (f32, f32) {
    let (largest, full, offset) = if min < 0.0 { (max.max(-min), 127.0, 128.0) } else { (max, 255.0, 0.0) };
    // A nearly black image stays black instead of showing its noise.
    (if largest < 1e-6 { 0.0 } else { full / largest }, offset)
}

impl From<proto::Image> for Image {
    fn from(message: proto::Image) -> Image {
        let proto::Image { height, width, colorspace, encoded_image_string: encoded } = message;
        Image { height, width, colorspace, encoded }
    }
}

impl From<Image> for proto::Image {
    fn from(image: Image) -> proto::Image {
        let Image { height, width, colorspace, encoded } = image;
        proto::Image { height, width, colorspace, encoded_image_string: encoded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(image: &Image) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(&image.encoded)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.height as i32, info.width as i32), (image.height, image.width));
        pixels
    }

    fn column<T: tensor::Element>(values: &[T]) -> Vec<u8> {
        let tensor = Tensor::from_slice(values, [values.len(), 1, 1]).unwrap();
        decoded(&Image::from_pixels(&tensor).unwrap())
    }

    #[test]
    fn bytes_are_kept_in_every_colorspace() {
        for channels in 1..=4 {
            let bytes: Vec<u8> = (0..6 * channels as u8).map(|i| i * 10).collect();
            let tensor = Tensor::from_slice(&bytes, [2, 3, channels]).unwrap();
            let image = Image::from_pixels(&tensor).unwrap();
            assert_eq!(image.colorspace, channels as i32);
            assert_eq!(decoded(&image), bytes);
        }
    }

    /// Compares with the image that TensorFlow 2.21 made of the same values.
    #[test]
    fn floats_are_scaled_as_in_tensorflow() {
        assert_eq!(column(&[0.1f32, 0.7, 3.3, -1.0]), [131, 154, 255, 89]);
        assert_eq!(column(&[0.1f32, 0.7, 3.3, 2.0]), [7, 54, 255, 154]);
        assert_eq!(column(&[1e-7f32, 2e-7, 0.0, 1e-8]), [0, 0, 0, 0]);
        assert_eq!(column(&[-1e-8f32, 0.0, 0.0, 0.0]), [128, 128, 128, 128]);
        assert_eq!(column(&[33.3f32, 1.0 / 3.0, 2.0 / 3.0, 100.0]), [84, 0, 1, 255]);
        assert_eq!(column(&[33.3f64, 1.0 / 3.0, 2.0 / 3.0, 100.0]), [84, 0, 1, 254]);
        assert_eq!(column(&[0.1f64, 0.7, 3.3, -1.0]), [131, 154, 254, 89]);
        assert_eq!(column(&[33.3f32, 1.0 / 3.0, 2.0 / 3.0, 100.0].map(f16::from_f32)), [85, 0, 1, 255]);
        assert_eq!(column(&[0.1f32, 0.7, 3.3, -1.0].map(f16::from_f32)), [131, 155, 255, 89]);
    }

    #[test]
    fn pixels_that_are_not_finite_are_red() {
        assert_eq!(column(&[f32::NAN, 1.0, 2.0, f32::INFINITY]), [255, 127, 255, 255]);
        assert_eq!(column(&[f32::NAN; 4]), [255; 4]);
        let rgb = Tensor::from_vec(vec![1.0f32, f32::NAN, 1.0, 2.0, 2.0, 4.0], [1, 2, 3]).unwrap();
        assert_eq!(decoded(&Image::from_pixels(&rgb).unwrap()), [255, 0, 0, 127, 127, 255]);
    }

    #[test]
    fn files_that_are_not_images_are_refused() {
        let zeros = |dtype, dims: &[usize]| Image::from_pixels(&Tensor::zeros(dtype, dims).unwrap());
        for dims in [&[2, 2][..], &[2, 2, 5], &[2, 2, 0], &[0, 2, 1], &[1 << 40, 0, 1]] {
            assert!(matches!(zeros(DType::UInt8, dims), Err(SummaryError::Shape { .. })), "{dims:?}");
        }
        assert!(matches!(zeros(DType::Int32, &[1, 1, 1]), Err(SummaryError::DType { .. })));
    }
}
