//! Input: files, readers, orders of examples.
//!
//! Every access to a file asks the session's `FileAccess` first, so a model can be limited to its own folder.

mod compression;
mod files;
mod format;
mod indices;
mod permutation;
mod readers;
mod saving;

use crate::registry::Registry;

pub(crate) use compression::Compression;
pub(in crate::kernels) use files::{matching, path};

pub(crate) fn register(registry: &mut Registry) {
    files::register(registry);
    indices::register(registry);
    readers::register(registry);
    saving::register(registry);
}
