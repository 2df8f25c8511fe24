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
//! form as text, nor has one of strings that are not UTF-8 or, unless there is only one, have several lines.
//!
//! Printed values have a line with name, dtype and shape; a value of several lines follows on the next ones.
//! With `--json` there is one object, with the names as its keys.

use super::{json, npy};
use crate::output::{Failure, write_json};
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

/// Writes values to the requested files, and prints the others: as one JSON object, or as a table. The values of the
/// arguments come last, in their order.
///
/// An error of the output is a [`Failure`] as it is, by which a closed pipe is recognized.
pub(crate) fn deliver(
    out: &mut dyn Write,
    values: &[(String, Tensor)],
    arguments: &[OutputArgument],
    as_json: bool,
) -> std::result::Result<(), Failure> {
    // Files before anything is printed: if one fails, no output suggests that all went well.
    let printed = write_files(values, arguments)?;
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

/// Writes the values that have a file, and returns those to print.
fn write_files<'v>(
    values: &'v [(String, Tensor)],
    arguments: &[OutputArgument],
) -> Result<Vec<(&'v String, &'v Tensor)>> {
    // Whether an argument asks to print a value; none says anything about the values of `--fetch`.
    let mut claims: Vec<Option<bool>> = vec![None; values.len()];
    let mut files = Vec::new();
    // From the last one on, because a tensor may be requested by `--fetch` and by several arguments, and each of
    // them has its own value.
    for argument in arguments.iter().rev() {
        let is_named = |(name, _): &(String, Tensor)| *name == argument.name;
        let own = values.iter().zip(&claims).rposition(|(value, claim)| is_named(value) && claim.is_none());
        // A signature has each output once, however often it is requested.
        let index = own.or_else(|| values.iter().rposition(is_named));
        match (index, &argument.file) {
            (Some(index), Some(file)) => {
                claims[index].get_or_insert(false);
                files.push((file, &values[index]));
            }
            (Some(index), None) => claims[index] = Some(true),
            (None, Some(file)) => return Err(not_one_tensor(argument, file, values)),
            // The components of the output are among the values, and are printed.
            (None, None) => {}
        }
    }
    for (file, (name, value)) in files.into_iter().rev() {
        write_file(file, value).map_err(|error| {
            error.context(format!("cannot write the output '{name}' into '{}'", file.display()))
        })?;
    }
    let printed = values.iter().zip(claims).filter(|(_, claim)| claim.unwrap_or(true));
    Ok(printed.map(|((name, value), _)| (name, value)).collect())
}

/// Returns the error for a file of an output that consists of several tensors, such as a sparse one.
fn not_one_tensor(argument: &OutputArgument, file: &Path, values: &[(String, Tensor)]) -> Error {
    let prefix = format!("{}/", argument.name);
    let parts = values.iter().filter(|(name, _)| name.starts_with(&prefix));
    let parts: Vec<String> = parts.map(|(name, _)| format!("'{name}'")).collect();
    Error::value(format!(
        "the output '{}' has no single tensor to write into '{}', but {}: leave out the file to print them",
        argument.name,
        file.display(),
        parts.join(", ")
    ))
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
    if let Ok(strings) = value.as_strings() {
        // A single string is the whole file, with as many lines as it has.
        let is_single = value.shape().rank() == 0;
        let is_split = |string: &[u8]| string.contains(&b'\n') || string.ends_with(b"\r");
        for string in strings {
            let why = match std::str::from_utf8(string) {
                Err(_) => "is not UTF-8",
                Ok(_) if !is_single && is_split(string) => "has an end of a line",
                Ok(_) => continue,
            };
            let string = String::from_utf8_lossy(string).into_owned();
            let text = format!("the string {string:?} {why}, which text would not keep: write .npy or .json");
            return Err(Error::value(text));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(texts: &[&str]) -> Vec<OutputArgument> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn each_argument_has_one_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let to = |name: &str, file: &str| format!("{name}={}", path(file).display());
        let value = |name: &str, number: i32| (name.to_owned(), Tensor::scalar(number));
        let printed = |values: &[(String, Tensor)], texts: &[&str]| -> Vec<i32> {
            let printed = write_files(values, &arguments(texts)).unwrap();
            printed.into_iter().map(|(_, value)| value.value().unwrap()).collect()
        };
        let read = |file: &str| std::fs::read_to_string(path(file)).unwrap();
        // `--fetch x --fetch y --output x=a.txt --output x=b.txt --output x`: the fetches come first.
        let values = [value("x", 1), value("y", 2), value("x", 3), value("x", 4), value("x", 5)];
        let outputs = [to("x", "a.txt"), to("x", "b.txt"), "x".to_owned()];
        assert_eq!(printed(&values, &outputs.each_ref().map(String::as_str)), [1, 2, 5]);
        assert_eq!((read("a.txt"), read("b.txt")), ("3\n".to_owned(), "4\n".to_owned()));
        // Outputs of a signature, each of which is there once.
        let values = [value("x", 1), value("y", 2)];
        let outputs = [to("x", "c.txt"), to("x", "d.txt"), "y".to_owned(), to("y", "e.txt")];
        assert_eq!(printed(&values, &outputs.each_ref().map(String::as_str)), [2]);
        assert_eq!((read("c.txt"), read("d.txt"), read("e.txt")), ("1\n".into(), "1\n".into(), "2\n".into()));
        // A sparse output has no tensor of its own.
        let values = [value("s/values", 1), value("s/indices", 2)];
        assert_eq!(printed(&values, &["s"]), [1, 2]);
        let error = write_files(&values, &arguments(&[&to("s", "f.txt")])).unwrap_err();
        assert!(error.message().contains("but 's/values', 's/indices'"), "{error}");
    }

    #[test]
    fn strings_that_text_would_change_are_refused() {
        let written = |strings: &[&[u8]]| {
            let owned = strings.iter().map(|string| string.to_vec());
            text(&Tensor::from_strings(owned.collect::<Vec<_>>(), [strings.len()]).unwrap())
        };
        assert_eq!(written(&[b"a b", b"", b"c\rd"]).unwrap(), b"a b\n\nc\rd\n");
        for (string, words) in [
            (&b"a\nb"[..], "has an end of a line"),
            (b"a\r", "has an end of a line"),
            (b"\xff", "is not UTF-8"),
        ] {
            let error = written(&[b"a", string]).unwrap_err();
            assert!(error.message().contains(words), "{error}");
        }
        assert_eq!(text(&Tensor::string("a\nb")).unwrap(), b"a\nb\n", "it is read as one string");
        assert!(text(&Tensor::string(vec![0xff])).is_err());
    }
}
