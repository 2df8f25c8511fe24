//! The outputs of a model: written to files, or printed.
//!
//! An output with a file is written in the form of its extension: `.npy` keeps dtype and shape, `.json` the shape,
//! and `.txt` neither. All outputs without a file are printed after the last file was written; a file that cannot be
//! written ends the command before.
//!
//! # Forms
//!
//! | extension | content | not kept |
//! |---|---|---|
//! | `.npy` | NumPy's format | - |
//! | `.json` | nested arrays | the dtype, and the shape behind a dimension of 0 |
//! | `.txt` | a line for each element of a vector, or for each row of a matrix | the dtype, and blanks between strings of a row |
//!
//! Numbers can be read again by `inputs`, in any of the forms. A tensor of more than two dimensions has no
//! form as text.
//!
//! Printed values have a line with name, dtype and shape; a value of several lines follows on the next ones.
//! With `--json` there is one object, with the names as its keys.

use super::{json, npy};
use crate::output::write_json;
use monitored_session::session_core::{Error, Result, Tensor};
use serde_json::Value as Json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tensor::text::escaped;

/// `NAME` or `NAME=FILE` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputArgument {
    /// The name of the output.
    pub(crate) name: String,
    /// The file to write; `None` to print the value.
    pub(crate) file: Option<PathBuf>,
}

impl FromStr for OutputArgument {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<OutputArgument, String> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (name, Some(file)),
            None => (text, None),
        };
        if name.is_empty() || file == Some("") {
            return Err("it must be NAME, NAME=FILE.npy, NAME=FILE.json or NAME=FILE.txt".to_owned());
        }
        Ok(OutputArgument { name: name.to_owned(), file: file.map(PathBuf::from) })
    }
}

/// Writes values to the requested files, and prints the others: as one JSON object, or as a table.
pub(crate) fn deliver(
    out: &mut dyn Write,
    values: &[(String, Tensor)],
    arguments: &[OutputArgument],
    as_json: bool,
) -> Result<()> {
    let mut printed = Vec::new();
    for (name, value) in values {
        let file = arguments.iter().find(|argument| argument.name == *name);
        match file.and_then(|argument| argument.file.as_deref()) {
            // Files before anything is printed: if one fails, no output suggests that all went well.
            Some(file) => write_file(file, value).map_err(|error| {
                error.context(format!("cannot write the output '{name}' into '{}'", file.display()))
            })?,
            None => printed.push((name, value)),
        }
    }
    if as_json {
        return Ok(write_json(out, &Json::Object(json::from_tensors(printed)?), false)?);
    }
    for (name, value) in printed {
        let text = escaped_lines(&value.to_string());
        // A value of several lines starts below its name, so that its columns line up.
        let gap = if text.contains('\n') { '\n' } else { ' ' };
        writeln!(out, "{}: {} {}{gap}{text}", escaped(name), value.dtype(), value.shape())?;
    }
    Ok(())
}

/// Returns a tensor's printable lines.
fn escaped_lines(text: &str) -> String {
    text.split('\n').map(|line| escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Writes one value, in the format of the file's extension.
fn write_file(file: &Path, value: &Tensor) -> Result<()> {
    let content = match file.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => npy::write(value)?,
        Some("json") => {
            let mut text = serde_json::to_vec(&json::from_tensor(value)?).map_err(Error::other)?;
            text.push(b'\n');
            text
        }
        Some("txt") => text(value)?,
        _ => return Err(Error::value("the form is not known: the name must end with .npy, .json or .txt")),
    };
    Ok(std::fs::write(file, content)?)
}

/// Formats strings, one per line, or rows of numbers, as [`InputArgument`](super::inputs::InputArgument) reads them.
fn text(value: &Tensor) -> Result<Vec<u8>> {
    if value.shape().rank() > 2 {
        return Err(Error::value("an array of more than two dimensions is not text: write .npy or .json"));
    }
    fn line(json: &Json) -> String {
        match json {
            Json::Array(items) => items.iter().map(line).collect::<Vec<_>>().join(" "),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
    let mut text = match json::from_tensor(value)? {
        Json::Array(rows) => rows.iter().map(|row| line(row) + "\n").collect::<String>(),
        single => line(&single) + "\n",
    };
    // An array without elements would leave one empty line.
    if value.elements() == 0 {
        text.clear();
    }
    Ok(text.into_bytes())
}
