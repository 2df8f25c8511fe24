//! Checkpoints under the policy for the files that a graph may access.

use crate::bundle::BundleReader;
use crate::index_path;
use session_core::{FileAccess, Result};
use std::path::Path;

impl BundleReader {
    /// Opens a checkpoint as [`open`](BundleReader::open) does, if all of its files may be read. Each of them may be a link that leads
    /// elsewhere, which the prefix does not show.
    ///
    /// ```
    /// use checkpoint::bundle::BundleReader;
    /// use session_core::{Code, FileAccess};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.ckpt");
    /// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
    /// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
    /// let access = FileAccess::nothing().allow_read(folder.path());
    /// assert!(BundleReader::open_allowed(&prefix, &access)?.contains("w"));
    /// let error = BundleReader::open_allowed(&prefix, &FileAccess::nothing()).unwrap_err();
    /// assert_eq!(error.code(), Code::PermissionDenied);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `PermissionDenied` with the path of a file that may not be read; those of [`open`](BundleReader::open).
    pub fn open_allowed(prefix: impl AsRef<Path>, access: &FileAccess) -> Result<BundleReader> {
        let prefix = prefix.as_ref();
        access.check_read(&index_path(prefix))?;
        let reader = BundleReader::open(prefix)?;
        if !access.is_everything() {
            reader.data_files().iter().try_for_each(|file| access.check_read(file))?;
        }
        Ok(reader)
    }
}
