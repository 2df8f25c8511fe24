//! Files that are replaced at once.

use std::path::Path;
use std::{fs, io};

/// Writes a file so that at no moment half of it is there: beside it, as `<name>.new`, which is then moved.
pub(crate) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.to_path_buf().into_os_string();
    new.push(".new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}
