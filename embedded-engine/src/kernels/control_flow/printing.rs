//! Printing of texts: to the log, or to the end of a file.
//!
//! # Semantics
//!
//! `PrintV2` takes a scalar string and has no outputs. The attribute `output_stream` is `stdout`, `stderr`,
//! `log(info)`, `log(warning)`, `log(error)` or `file://` and a path; others are `InvalidArgument` when the
//! plan is compiled. The attribute `end` follows the text in a file, and is not written to a log, which has
//! lines of its own.
//!
//! Unlike TensorFlow, nothing goes to standard output or standard error: they belong to the program, whose
//! logger decides where the texts appear. A file is opened, appended to and closed in each run, and is
//! created if it is missing. Its folder must exist.
//!
//! Printing has an effect, so the operation is stateful: it runs once for each step in which it is a target
//! or a control input of something that runs.

use super::escaped_lines;
use crate::kernels::io::path;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

/// Registers `PrintV2`.
pub(super) fn register(registry: &mut Registry) {
    registry
        .add("PrintV2", |spec| {
            let stream = Stream::of(spec.str("output_stream").unwrap_or("stderr"))?;
            let end = spec.str("end").unwrap_or("\n").to_owned();
            Ok(boxed(move |context| {
                let [text] = context.input(0).as_strings()? else {
                    let text =
                        format!("Input is expected to be scalar, but got {}", context.input(0).shape());
                    return Err(Error::invalid_argument(text));
                };
                match &stream {
                    Stream::Log(level) => {
                        // Escaped, so that a text cannot control the terminal that shows the log.
                        log::log!(*level, "{}", escaped_lines(&String::from_utf8_lossy(text)));
                    }
                    Stream::File(file) => {
                        context.files().check_write(file)?;
                        let file_error = |error: io::Error| failed(file, error);
                        let mut opened =
                            OpenOptions::new().append(true).create(true).open(file).map_err(file_error)?;
                        // At once, so that the lines of several sessions do not mix.
                        opened.write_all(&[text, end.as_bytes()].concat()).map_err(file_error)?;
                    }
                }
                Ok(())
            }))
        })
        .accesses_files();
}

/// The place that a text is printed to.
enum Stream {
    /// Standard output and standard error belong to the program; their texts go to its log.
    Log(log::Level),
    /// Texts are appended to this file.
    File(PathBuf),
}

impl Stream {
    /// Returns the stream of the attribute `output_stream`.
    fn of(name: &str) -> Result<Stream> {
        Ok(match name {
            "stdout" | "stderr" | "log(info)" => Stream::Log(log::Level::Info),
            "log(warning)" => Stream::Log(log::Level::Warn),
            "log(error)" => Stream::Log(log::Level::Error),
            _ => match name.strip_prefix("file://") {
                Some(file) if !file.is_empty() => Stream::File(path(file.as_bytes())),
                _ => {
                    let text = format!(
                        "Unknown output stream: '{name}', Valid streams are: stdout stderr log(info) log(warning) \
                         log(error) file://PATH"
                    );
                    return Err(Error::invalid_argument(text));
                }
            },
        })
    }
}

/// Returns the error for a file that cannot be opened or written, with the code of the operating system's
/// error.
fn failed(file: &std::path::Path, error: io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Code::NotFound,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        _ => Code::Unknown,
    };
    Error::new(code, format!("could not print to '{}'", file.display())).with_source(error)
}
