//! The Python with TensorFlow, for the tests of all crates.
#[path = "skipped.rs"]
mod skipped;

#[allow(unused_imports)] // few skip for another reason
pub(crate) use skipped::skipped;
use std::path::{Path, PathBuf};

/// Returns a Python with TensorFlow: the one in `MONITORED_SESSION_TF_PYTHON`, or the one in the workspace's target folder. Without
/// one, reports that a test is skipped.
pub(crate) fn python() -> Option<PathBuf> {
    let named = std::env::var_os("MONITORED_SESSION_TF_PYTHON").map(PathBuf::from);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut workspaces = [folder.to_path_buf(), folder.join("..")].into_iter();
    let installed = || {
        workspaces.find_map(|workspace| {
            let python = workspace.join("target/tensorflow/venv/bin/python");
            python.is_file().then_some(python)
        })
    };
    let found = named.or_else(installed);
    if found.is_none() {
        skipped("no Python with TensorFlow; set MONITORED_SESSION_TF_PYTHON to test against it");
    }
    found
}
