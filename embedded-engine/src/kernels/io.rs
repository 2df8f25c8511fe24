//! Input: files, readers, orders of examples.
//!
//! Every access to a file asks the session's `FileAccess` first, so a model can be limited to its own folder.
//!
//! Paths are bytes, as they are on Unix, and need not be UTF-8, except in the op types that save and restore.
//! Relative paths are relative to the working directory of the process. There are no file systems other than
//! the local one: a path like `gs://bucket/file` names a local file.
//!
//! Op types whose result depends on a file are registered as changing, so that they are not folded into
//! constants, and all that open files are registered as such, so that a program can find out whether a graph
//! that it loads does.

mod compression;
mod files;
mod format;
mod indices;
mod permutation;
mod readers;
mod saving;

use crate::registry::Registry;

pub(crate) use compression::Compression;
pub(in crate::kernels) use files::{matching, path, read_up_to};

/// Registers the op types of all files of this folder. `compression`, `format` and `permutation` have none.
pub(crate) fn register(registry: &mut Registry) {
    files::register(registry);
    indices::register(registry);
    readers::register(registry);
    saving::register(registry);
}
