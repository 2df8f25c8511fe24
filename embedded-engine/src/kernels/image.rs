//! Images: files of pictures, other sizes, parts, boxes.
//!
//! The family is behind the feature `images`, because the libraries of its codecs are large and few models need it.
//! The resizing that convolutional models need is in `nn`.

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
    codecs::register(registry);
    cropping::register(registry);
    drawing::register(registry);
    glimpse::register(registry);
    projection::register(registry);
    resizing::register(registry);
    suppression::register(registry);
}
