//! The origin of operations that the program did not create itself.

use std::fmt;
use std::sync::Arc;

/// The origin of an operation, such as a node of a file; see [`Operation::origin`](crate::Operation::origin).
///
/// ```
/// use session_core::{Error, Origin};
/// let error = Error::value("no such attribute").with_node("loss", "Mean");
/// let error = error.with_origin(Origin::file("'train.meta'"));
/// assert_eq!(error.to_string(), "InvalidArgument: no such attribute (node 'loss' of type Mean, from 'train.meta')");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: Arc<str>,
    replaces_place: bool,
}

impl Origin {
    /// Makes the origin of a part of a message. Errors name it after the source location of the import.
    #[must_use]
    pub fn message(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: false }
    }

    /// Makes the origin of a part of a file. Errors name it instead of a source location.
    #[must_use]
    pub fn file(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: true }
    }

    /// Makes the origin of operations that a part of this library, such as the scaffold, creates by itself. Errors name it
    /// instead of a source location.
    #[must_use]
    pub fn library(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: true }
    }

    /// Returns true if errors name it instead of a source location.
    #[must_use]
    pub fn replaces_place(&self) -> bool {
        self.replaces_place
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Describes where an operation was created: its source location, its origin, or both.
pub(crate) fn made(location: Option<&std::panic::Location<'_>>, origin: Option<&Origin>) -> Option<String> {
    match (location, origin) {
        // The location would be that of the import or of the library, which says less than the origin.
        (_, Some(origin)) if origin.replaces_place => Some(format!("from {origin}")),
        (Some(place), Some(origin)) => {
            Some(format!("made at {}:{} from {origin}", place.file(), place.line()))
        }
        (Some(place), None) => Some(format!("made at {}:{}", place.file(), place.line())),
        (None, _) => None,
    }
}
