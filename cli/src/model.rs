//! Models of others: what files they are in, and the values that they take and give.

pub(crate) mod folder;
pub(crate) mod graph_file;
pub(crate) mod inputs;
pub(crate) mod json;
pub(crate) mod npy;
pub(crate) mod outputs;
