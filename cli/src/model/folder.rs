//! The path of a model: the folder of a SavedModel, or a graph file.
//!
//! The path alone tells the two kinds apart: a folder, or a file with a name that only SavedModels have. No
//! content is read, so that an error about the content comes from the reader of that kind.

use std::path::{Path, PathBuf};

/// Returns the folder of a SavedModel, if the path is one or a file in one.
pub(crate) fn saved_model(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_path_buf());
    }
    let name = path.file_name()?;
    let is_message = name == "saved_model.pb" || name == "saved_model.pbtxt";
    (is_message && path.is_file()).then(|| folder_of(path).to_path_buf())
}

/// Returns the folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    // The parent of a bare file name is empty, which file systems do not accept as a folder.
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the tags of an argument; an empty one means the meta graph without tags.
pub(crate) fn tags_of(tags: &[String]) -> impl Iterator<Item = &String> {
    tags.iter().filter(|tag| !tag.is_empty())
}
