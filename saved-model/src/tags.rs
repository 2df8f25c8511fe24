//! The tags that TensorFlow assigns to meta graphs.

/// A graph to be asked.
pub const SERVING: &str = "serve";
/// A graph to be trained.
pub const TRAINING: &str = "train";
/// A graph to be evaluated.
pub const EVAL: &str = "eval";
/// A graph for graphics processors.
pub const GPU: &str = "gpu";
/// A graph for tensor processors.
pub const TPU: &str = "tpu";
