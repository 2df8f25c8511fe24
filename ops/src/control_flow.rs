//! Control flow: groups, dependencies, assertions, and the operations of conditionals and loops.

pub(crate) mod assertion;
pub(crate) mod frames;
pub(crate) mod functional;
pub(crate) mod grouping;
pub(crate) mod optional;
pub(crate) mod tensor_array;
pub(crate) mod tensor_list;

pub use assertion::*;
pub use grouping::*;
