//! Summaries and event files that TensorBoard reads.
