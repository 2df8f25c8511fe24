//! How commands end.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use tensor::text::escaped;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Good,
    /// What was looked for is damaged, or different.
    Bad,
    /// A signal ended it, cleanly.
    Interrupted {
        /// 128 and the signal's number, as shells have it.
        code: u8,
    },
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

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error>,
    code: u8,
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { error: Box::new(error), code: 1 }
    }
}

impl Failure {
    /// With another exit code than 1.
    pub(crate) fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// Tells the user on the error stream, with all causes.
    pub(crate) fn report(self) -> ExitCode {
        // Whoever reads our output has seen enough.
        if self
            .error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            return ExitCode::SUCCESS;
        }
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr(), "monitored: {}", escaped(chain(self.error.as_ref())));
        ExitCode::from(self.code)
    }
}

/// An error and its causes in one line. Some errors say their causes themselves; nothing is said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// What every command returns.
pub(crate) type Result = std::result::Result<Outcome, Failure>;
