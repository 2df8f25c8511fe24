//! Images: files of pictures, other sizes, parts, boxes.
//!
//! Codecs are behind the feature `images`, because their libraries are large. Without it their op types are
//! registered all the same, with kernels that name the feature, so that a graph with them reports what is
//! missing and why. Resizing and drawing need no library.

#[cfg(feature = "images")]
mod codecs;
mod cropping;
mod drawing;
mod glimpse;
mod projection;
mod resizing;
mod spans;
mod suppression;

use crate::registry::Registry;

/// Registers the op types of all files of this folder.
pub(crate) fn register(registry: &mut Registry) {
    #[cfg(feature = "images")]
    codecs::register(registry);
    #[cfg(not(feature = "images"))]
    registry
        .add_all(
            [
                "DecodeAndCropJpeg",
                "DecodeBmp",
                "DecodeGif",
                "DecodeImage",
                "DecodeJpeg",
                "DecodePng",
                "EncodeJpeg",
                "EncodeJpegVariableQuality",
                "EncodePng",
                "ExtractJpegShape",
            ],
            |_| Err(crate::dispatch::without_feature("images")),
        )
        .lacks_feature();
    cropping::register(registry);
    drawing::register(registry);
    glimpse::register(registry);
    projection::register(registry);
    resizing::register(registry);
    suppression::register(registry);
}
