//! Where lines of text go.

/// A function that takes lines.
pub(crate) type LineSink = Box<dyn FnMut(&str) + Send>;
