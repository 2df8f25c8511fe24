//! Where operations come from that the program did not make itself.

use std::fmt;
use std::sync::Arc;

/// What an operation was made from, such as a node of a file; see [`Operation::origin`](crate::Operation::origin).
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
    /// A part of a message that the program had: errors name it behind the place in the program.
    #[must_use]
    pub fn message(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: false }
    }

    /// A part of a file: errors name it instead of a place in the program.
    #[must_use]
    pub fn file(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: true }
    }

    /// A part of this library that makes operations on its own, such as the scaffold: errors name it instead of a place in its
    /// code.
    #[must_use]
    pub fn library(text: impl Into<Arc<str>>) -> Origin {
        Origin { text: text.into(), replaces_place: true }
    }

    /// Returns true if errors name it instead of a place in the program.
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

/// Where something was made, in words: the place in the program, what it was made from, or both.
pub(crate) fn made(location: Option<&std::panic::Location<'_>>, origin: Option<&Origin>) -> Option<String> {
    match (location, origin) {
        (_, Some(origin)) if origin.replaces_place => Some(format!("from {origin}")),
        (Some(place), Some(origin)) => {
            Some(format!("made at {}:{} from {origin}", place.file(), place.line()))
        }
        (Some(place), None) => Some(format!("made at {}:{}", place.file(), place.line())),
        (None, _) => None,
    }
}
