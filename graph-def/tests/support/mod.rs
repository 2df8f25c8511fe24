//! Helpers that several test files share, for questions to TensorFlow.
#![allow(dead_code, unused_imports)] // each test file uses its part

#[path = "../../../tests/support/python.rs"]
mod python;

pub(crate) use python::python;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a script of `tests/oracle` and returns the JSON that it prints.
pub(crate) fn ask(python: &Path, script: &str, arguments: &[&OsStr]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(script);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns a file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Returns a folder with the graphs that `make_graphs.py` creates, and a guard that keeps it. `MONITORED_SESSION_TF_GRAPHS` names
/// an existing folder instead.
pub(crate) fn graphs() -> Option<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(folder) = std::env::var_os("MONITORED_SESSION_TF_GRAPHS") {
        return Some((folder.into(), None));
    }
    let python = python()?;
    let folder = tempfile::tempdir().unwrap();
    let answer = ask(&python, "make_graphs.py", &[folder.path().as_os_str()]);
    assert_eq!(answer["failed"], serde_json::json!({}));
    Some((folder.path().to_owned(), Some(folder)))
}
