//! Images: files of pictures, other sizes, parts, boxes.

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
