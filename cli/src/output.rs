//! The results of commands: outcomes, exit codes, and errors with their causes.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the command succeeded |
//! | 1 | it failed, or the inspected files are damaged or different |
//! | 2 | wrong arguments; for `checkpoint diff`, also any failure |
//! | 128 + n | signal n ended it cleanly |
//!
//! A closed output is not a failure: `monitored events show ... | head` ends with 0.
//!
//! # Escapes
//!
//! Names and texts come from files, and a terminal obeys control characters in them. All output for people is
//! therefore escaped, and so is JSON beyond what its grammar requires.

use monitored_session::hooks::SignalReceipt;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use tensor::text::{escaped, is_unfit};

/// The result of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command succeeded.
    Good,
    /// The inspected files are damaged, or different.
    Bad,
    /// A signal ended the command cleanly.
    Interrupted {
        /// 128 + the signal's number, as shells report it.
        code: u8,
    },
}

impl Outcome {
    /// Returns the outcome of work that ended cleanly, by itself or by a signal.
    pub(crate) fn after(signals: &SignalReceipt) -> Outcome {
        // Real-time signals have numbers up to 64, so the sum fits.
        let code = signals.exit_code().and_then(|code| u8::try_from(code).ok());
        code.map_or(Outcome::Good, |code| Outcome::Interrupted { code })
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Good => ExitCode::SUCCESS,
            Outcome::Bad => ExitCode::from(1),
            Outcome::Interrupted { code } => ExitCode::from(code),
        }
    }
}

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The error, with its causes.
    error: Box<dyn Error>,
    /// The exit code of the program.
    code: u8,
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { error: Box::new(error), code: 1 }
    }
}

impl Failure {
    /// Sets an exit code other than 1.
    pub(crate) fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// Prints the error with all its causes to standard error.
    pub(crate) fn report(self) -> ExitCode {
        // The reader of the output has closed it.
        if self
            .error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            // `head` has what it wanted. A message or a failure would disturb the pipeline.
            return ExitCode::SUCCESS;
        }
        // If this fails, there is no other place to report it.
        let _ = writeln!(io::stderr(), "monitored: {}", escaped(chain(self.error.as_ref())));
        ExitCode::from(self.code)
    }
}

/// Returns an error and its causes in one line. Causes that an error already contains are not repeated.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many errors repeat the text of their cause.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// Writes a value as JSON, in one line or in several. Characters that are valid in JSON but unsafe for a terminal, such as control
/// characters beyond ASCII, are escaped as well.
pub(crate) fn write_json(out: &mut dyn Write, value: &serde_json::Value, pretty: bool) -> io::Result<()> {
    let text = if pretty { serde_json::to_string_pretty(value)? } else { serde_json::to_string(value)? };
    let mut rest = text.as_str();
    // Line ends only separate parts of the value; inside strings they are already escaped.
    while let Some(at) = rest.find(|c| c != '\n' && is_unfit(c)) {
        let (plain, unfit) = rest.split_at(at);
        out.write_all(plain.as_bytes())?;
        let mut chars = unfit.chars();
        let mut units = [0; 2];
        // JSON escapes are UTF-16 code units, so a character beyond the first plane has two.
        for unit in chars.next().into_iter().flat_map(|c| c.encode_utf16(&mut units).to_vec()) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = chars.as_str();
    }
    writeln!(out, "{rest}")
}

/// The result of every command.
pub(crate) type Result = std::result::Result<Outcome, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_no_control_characters() {
        let value =
            serde_json::json!({ "a\u{9b}2J": ["\u{1b}[31m\u{7f}", "gr\u{f6}\u{df}e \u{202e}\u{feff}\n"] });
        for pretty in [false, true] {
            let mut out = Vec::new();
            write_json(&mut out, &value, pretty).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.chars().any(|c| c != '\n' && is_unfit(c)), "{text:?}");
            assert!(text.contains("\\u009b2J") && text.contains("gr\u{f6}\u{df}e \\u202e"), "{text}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }
}
