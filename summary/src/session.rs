//! Errors of this crate as errors of sessions.

use crate::record::RecordError;
use crate::{EventError, SummaryError};
use session_core::{Code, Error};
use std::error::Error as StdError;

impl From<EventError> for Error {
    fn from(error: EventError) -> Error {
        let code = match &error {
            EventError::Record(record) => code_of(record),
            EventError::Decode { .. } => Code::DataLoss,
            EventError::Malformed { .. } => Code::InvalidArgument,
            EventError::File { source, .. } | EventError::Thread(source) => code_of_io(source),
            EventError::OnlyRuns { .. } => Code::NotFound,
            EventError::Panicked => Code::Internal,
        };
        converted(code, error)
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Error {
        converted(code_of(&error), error)
    }
}

impl From<SummaryError> for Error {
    fn from(error: SummaryError) -> Error {
        converted(Code::InvalidArgument, error)
    }
}

fn converted(code: Code, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(code, error.to_string()).with_source(error)
}

fn code_of(error: &RecordError) -> Code {
    match error {
        RecordError::Io { source, .. } => code_of_io(source),
        RecordError::Corrupt { .. } | RecordError::Truncated { .. } | RecordError::TooLong { .. } => {
            Code::DataLoss
        }
    }
}

/// Returns the code of an I/O error that stands alone.
fn code_of_io(error: &std::io::Error) -> Code {
    Error::from(std::io::Error::from(error.kind())).code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventWriter;

    #[test]
    fn an_error_of_event_files_becomes_a_session_error() {
        fn in_a_hook() -> session_core::Result<()> {
            let folder = tempfile::tempdir()?;
            let file = folder.path().join("file");
            std::fs::write(&file, "")?;
            EventWriter::open(file.join("events"))?;
            Ok(())
        }
        let error = in_a_hook().unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "a file is not a folder");
        assert!(error.message().starts_with("could not create directory"), "{error}");
        assert!(error.cause::<EventError>().is_some());
        fn refused() -> session_core::Result<()> {
            EventWriter::builder().discard()?.add_graph("no graph", 0)?;
            Ok(())
        }
        let error = refused().unwrap_err();
        assert_eq!((error.code(), error.is_recoverable()), (Code::InvalidArgument, false), "{error}");
        assert!(error.message().contains("not a serialized GraphDef"), "{error}");
    }
}
