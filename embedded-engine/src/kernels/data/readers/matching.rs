//! `MatchingFilesDataset` (D-86).

use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::Shared;
use crate::kernels::data::tensors::Rows;
use crate::kernels::io::{matching, path};
use session_core::Result;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::Tensor;

/// The names of the files that are there when the operation runs.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let mut elements = Vec::new();
    for pattern in build.strings("patterns")? {
        let pattern = path(&pattern);
        let mut found = Vec::new();
        matching(&pattern, build.context.files(), &mut found)?;
        found.retain(|path| !path.is_dir());
        let bare = pattern.parent().is_none_or(|folder| folder.as_os_str().is_empty());
        let named = |path: PathBuf| if bare { Path::new(".").join(path) } else { path };
        let mut names: Vec<Vec<u8>> =
            found.into_iter().map(|path| named(path).into_os_string().into_vec()).collect();
        names.sort();
        elements.extend(names.into_iter().map(|name| vec![Tensor::string(name)]));
    }
    Ok(Arc::new(Rows { name: "MatchingFiles", elements: elements.into() }))
}
