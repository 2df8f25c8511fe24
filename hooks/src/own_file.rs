//! The file that a hook writes.

use checkpoint::storage::{LocalStorage, check_folder};
use session_core::Result;
use std::path::Path;

/// Checks at the start of a training that a hook can write its file.
pub(crate) fn check_own_file(path: &Path) -> Result<()> {
    // The parent of a bare file name is empty and stands for the current folder.
    let directory = path.parent().unwrap_or(Path::new(""));
    Ok(check_folder(&LocalStorage, directory, |name| path.file_name().is_some_and(|own| own == name))?)
}
