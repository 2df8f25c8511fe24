//! Host tensors: dtypes, shapes, immutable shared buffers, display.
