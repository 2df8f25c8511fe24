//! The destination of lines of text.

/// A function that takes lines.
pub(crate) type LineSink = Box<dyn FnMut(&str) + Send>;
