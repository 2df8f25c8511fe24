//! Shared code of several test files.
#![allow(dead_code, unused_imports)] // each test file uses its part

#[path = "../../../tests/support/python.rs"]
mod python;

pub(crate) use python::{python, skipped};
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the crate that reads graphs.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph-def/tests/fixtures").join(name)
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Answer {
    /// The output as one JSON object a line.
    pub(crate) fn lines(&self) -> Vec<Json> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs the program in a folder.
pub(crate) fn run_in(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
    command.current_dir(folder).args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap(), out: text(output.stdout), errors: text(output.stderr) }
}

/// Runs a script and returns the JSON that it prints.
pub(crate) fn ask(python: &Path, script: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Json {
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
