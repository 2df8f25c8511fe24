//! Control flow: conditionals, loops, arrays, groups, dependencies, assertions.

mod arrays;
pub(crate) mod assertion;
mod conditional;
pub(crate) mod frames;
pub(crate) mod functional;
pub(crate) mod grouping;
mod loops;
mod mapping;
pub(crate) mod optional;
mod structure;
pub(crate) mod tensor_array;
pub(crate) mod tensor_list;

pub use arrays::TensorArray;
pub use assertion::*;
pub use conditional::{Branch, case, case_exclusive, cond, switch_case};
pub use grouping::*;
pub use loops::{WhileOptions, while_loop, while_loop_with};
pub use mapping::{foldl, foldr, map_fn, scan, scan_reverse};
pub use structure::Structure;
