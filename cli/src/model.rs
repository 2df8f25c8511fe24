//! Models for `run` and `export`: their files, and the conversion of their inputs and outputs.

pub(crate) mod folder;
pub(crate) mod graph_file;
pub(crate) mod inputs;
pub(crate) mod json;
pub(crate) mod npy;
pub(crate) mod outputs;
