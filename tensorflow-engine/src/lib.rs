//! TensorFlow's own runtime as an engine.
