//! The inputs of a model: values from files, or from the command line.
//!
//! The file's extension selects the format. Numbers are converted to the dtype of the input if each is exactly
//! representable, because NumPy's default dtypes (`float64`, `int64`) are wider than those of most models.
//!
//! # Which form a value has
//!
//! `NAME=VALUE` can be a file or JSON. A value that is valid JSON is JSON, unless a file of this name exists: a file
//! may be called `1`. A value that begins like an array, object or string but is not JSON is an error, so that a
//! missing bracket is reported and not a missing file. `@FILE` always is a file, whose bytes are one string, such as
//! an image.
//!
//! # Text files
//!
//! | input | meaning of the text |
//! |---|---|
//! | a scalar string | the whole text, without the last line end |
//! | a vector of strings | a string for each line |
//! | a vector of numbers | all numbers, over all lines |
//! | a matrix, or an unknown rank | a row for each line that is not empty |
//!
//! Errors name the input and the file. If the content is that of another kind of file, such as a checkpoint, the
//! error names that kind.

use super::json;
use crate::train::{arrays, feeds};
use monitored_session::session_core::{Code, DType, Error, PartialShape, Result, Tensor};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `NAME=VALUE` of the command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputArgument {
    /// The name of the input, or of a component such as `x/values`.
    pub(crate) name: String,
    /// The source of the value.
    source: Source,
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A NumPy array, JSON or text, depending on the file's name.
    File(PathBuf),
    /// One array of an archive.
    Archive(PathBuf, String),
    /// The bytes of a file, as one string.
    Bytes(PathBuf),
    /// JSON on the command line.
    Inline(Json),
}

/// The syntax of a value, for messages.
const FORMS: &str = "it must be NAME=FILE.npy, NAME=FILE.npz:ARRAY, NAME=FILE.json, NAME=FILE.txt, NAME=@FILE for a file's \
                     bytes, or NAME=JSON";

impl FromStr for InputArgument {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<InputArgument, String> {
        let (name, value) = text.split_once('=').ok_or(FORMS)?;
        if name.is_empty() || value.is_empty() {
            return Err(FORMS.to_owned());
        }
        // In this order: `@` may precede any name, and an archive is recognized before JSON is tried.
        let source = match (value.strip_prefix('@'), value.rsplit_once(".npz:")) {
            (Some(file), _) => Source::Bytes(file.into()),
            (None, Some((file, array))) => Source::Archive(format!("{file}.npz").into(), array.to_owned()),
            (None, None) => match serde_json::from_str(value) {
                // A file may be called as a number is written.
                Ok(json) if !Path::new(value).exists() => Source::Inline(json),
                // A missing bracket is far more likely than a file whose name begins with one.
                Err(error) if value.starts_with(['[', '{', '"']) => {
                    return Err(format!("the value is not JSON: {error}"));
                }
                _ => Source::File(value.into()),
            },
        };
        Ok(InputArgument { name: name.to_owned(), source })
    }
}

impl InputArgument {
    /// Returns the value for an input of this dtype and shape.
    pub(crate) fn read(&self, dtype: DType, shape: &PartialShape) -> Result<Tensor> {
        let place = |error: Error| match &self.source {
            Source::Inline(_) => {
                error.context(format!("the value of the input '{}' cannot be used", self.name))
            }
            Source::File(file) | Source::Archive(file, _) | Source::Bytes(file) => {
                error.context(format!("cannot read the input '{}' from '{}'", self.name, file.display()))
            }
        };
        self.try_read(dtype, shape).map_err(place)
    }

    /// Reads the value; errors do not name the input yet.
    fn try_read(&self, dtype: DType, shape: &PartialShape) -> Result<Tensor> {
        match &self.source {
            Source::Inline(value) => json::to_tensor(value, dtype),
            Source::Archive(file, array) => {
                let array = arrays::read_npz(file, array)?;
                feeds::converted(array, &self.name, dtype)
            }
            Source::Bytes(file) => {
                let bytes = std::fs::read(file)?;
                // One element, in as many dimensions as the input has: a batch of one, where that is a list.
                let dims = vec![1; shape.rank().unwrap_or(0)];
                match dtype {
                    DType::String => Ok(Tensor::from_strings([bytes], dims)?),
                    _ => Err(Error::type_mismatch(format!(
                        "the input is {dtype}; a file's bytes are a string"
                    ))),
                }
            }
            Source::File(file) => self.of_file(file, dtype, shape),
        }
    }

    /// Reads a file by its extension. A file without a known one is text.
    fn of_file(&self, file: &Path, dtype: DType, shape: &PartialShape) -> Result<Tensor> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => feeds::converted(arrays::read_npy(file)?, &self.name, dtype),
            Some("npz") => feeds::converted(arrays::read_npz(file, &self.name)?, &self.name, dtype),
            Some("json") => parsed(file, |text| {
                let value = serde_json::from_str(text);
                json::to_tensor(
                    &value.map_err(|error| Error::value(format!("it is not JSON: {error}")))?,
                    dtype,
                )
            }),
            _ => parsed(file, |text| of_text(text, dtype, shape)),
        }
    }
}

/// Parses the text of a file. The error for a file of another kind names that kind.
fn parsed(file: &Path, parse: impl FnOnce(&str) -> Result<Tensor>) -> Result<Tensor> {
    let content = std::fs::read(file)?;
    // The content decides about the message: `model.pb` given by accident is named as what it is.
    let text = str::from_utf8(&content).map_err(|_| {
        Error::new(Code::DataLoss, "it is neither text in UTF-8 nor, by its name, a .npy or .npz file")
    });
    let value = text.and_then(parse);
    value.map_err(|error| match arrays::other_kind(&content) {
        Some(kind) => Error::new(Code::DataLoss, kind),
        None => error,
    })
}

/// Parses a text: one string per line, or rows of numbers separated by blanks or commas.
fn of_text(text: &str, dtype: DType, shape: &PartialShape) -> Result<Tensor> {
    if dtype == DType::String {
        return Ok(match shape.rank() {
            Some(0) => Tensor::string(text.strip_suffix('\n').unwrap_or(text).to_owned()),
            _ => {
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let count = lines.len();
                Tensor::from_strings(lines, [count])?
            }
        });
    }
    let word = |word: &str| match word {
        "true" | "True" => Ok(Json::Bool(true)),
        "false" | "False" => Ok(Json::Bool(false)),
        word => serde_json::from_str(word).or_else(|_| {
            // NaN and infinities, and numbers that are written in other ways than JSON has them.
            let number: Option<f64> = word.parse().ok();
            number.map(json::number).ok_or_else(|| Error::value(format!("'{word}' is not a number")))
        }),
    };
    let rows: Result<Vec<Json>> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let words = line.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
            Ok(Json::Array(words.map(word).collect::<Result<_>>()?))
        })
        .collect();
    let rows = rows?;
    let value = match (shape.rank(), rows.as_slice()) {
        (Some(0), [Json::Array(row)]) if row.len() == 1 => row[0].clone(),
        (Some(1), rows) => {
            Json::Array(rows.iter().flat_map(|row| row.as_array().cloned().unwrap_or_default()).collect())
        }
        // Other combinations go to the JSON conversion, which reports shapes that do not fit.
        _ => Json::Array(rows),
    };
    json::to_tensor(&value, dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_an_input_and_a_value() {
        let source = |text: &str| text.parse::<InputArgument>().unwrap().source;
        assert_eq!(source("x=a.npy"), Source::File("a.npy".into()));
        assert_eq!(source("x=a.npz:b"), Source::Archive("a.npz".into(), "b".to_owned()));
        assert_eq!(source("x=@cat.jpg"), Source::Bytes("cat.jpg".into()));
        assert_eq!(source("x=[1, 2]"), Source::Inline(serde_json::json!([1, 2])));
        assert_eq!(source("x=\"a=b\""), Source::Inline(serde_json::json!("a=b")));
        assert_eq!(source("x=true"), Source::Inline(serde_json::json!(true)));
        for wrong in ["x", "=1", "x=", "x=[1,"] {
            assert!(wrong.parse::<InputArgument>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn text_is_parsed_as_strings_or_numbers() {
        let read = |text: &str, dtype, rank| of_text(text, dtype, &PartialShape::of_rank(rank));
        assert_eq!(read("a b\nc\n", DType::String, 1).unwrap(), Tensor::from(["a b", "c"]));
        assert_eq!(read("a\nb\n", DType::String, 0).unwrap(), Tensor::string("a\nb"));
        assert_eq!(read("1 2\n3,4\n", DType::Float32, 2).unwrap(), Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
        assert_eq!(read("1\n2\n", DType::Int32, 1).unwrap(), Tensor::from([1i32, 2]));
        assert_eq!(read("+2.5\n", DType::Float64, 0).unwrap(), Tensor::scalar(2.5f64));
        assert_eq!(
            read("inf -inf", DType::Float32, 1).unwrap(),
            Tensor::from([f32::INFINITY, f32::NEG_INFINITY])
        );
        assert!(read("1 2\n3", DType::Float32, 2).is_err());
        assert!(read("one", DType::Float32, 1).is_err());
    }
}
