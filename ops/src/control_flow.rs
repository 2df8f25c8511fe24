//! What runs when: groups, dependencies, assertions, and the operations of conditionals and loops.

pub(crate) mod grouping;

pub use grouping::*;
