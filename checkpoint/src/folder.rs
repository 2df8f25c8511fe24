//! Telling folders apart by what they are, not by how their paths are spelled.

use std::path::Path;

/// Returns true if both paths lead to the same folder, however they are spelled: through links, relative or absolute. A
/// folder that does not exist is known by its spelling only.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// let run = folder.path().join("run");
/// assert!(checkpoint::is_same_folder(&run, &run));
/// std::fs::create_dir(&run)?;
/// assert!(checkpoint::is_same_folder(&run, folder.path().join("run/../run")));
/// assert!(!checkpoint::is_same_folder(&run, folder.path()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn is_same_folder(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}
