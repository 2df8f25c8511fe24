//! Control flow: conditionals, loops, arrays, groups, dependencies, assertions.
//!
//! Branches and bodies are closures that build operations. They run once, when the graph is built, and become functions of the graph;
//! the condition decides at run time which function the engine calls, and how often.
//!
//! ```
//! use ops::array::{constant, placeholder};
//! use ops::control_flow::{cond, while_loop};
//! use ops::math::{greater, less, neg};
//! use session_core::{DType, Graph, PartialShape};
//!
//! let graph = Graph::new();
//! let x = placeholder(&graph, DType::Float32, PartialShape::scalar());
//! let zero = constant(&graph, 0f32);
//! let absolute = cond(greater(&x, &zero), |_| x.clone(), |_| neg(&x));
//! assert_eq!(absolute.shape().to_string(), "[]");
//!
//! // Doubles x until it is at least 100.
//! let limit = constant(&graph, 100f32);
//! let doubled = while_loop(&graph, |_, v| less(v, &limit), |_, v| &v * 2f32, x.clone());
//! assert_eq!(doubled.dtype(), DType::Float32);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | choose one of two computations | [`cond`] |
//! | choose by a number or by several conditions | [`switch_case`], [`case`] |
//! | repeat while a condition holds | [`while_loop`] |
//! | apply a closure to each entry of the first axis | [`map_fn`], [`scan`], [`foldl`], [`foldr`] |
//! | write and read elements by index within a loop | [`TensorArray`] |
//! | run several operations as one | [`group`] |
//! | compute a value after operations have run | [`with_dependencies`] |
//! | stop a run whose values are wrong | [`assert_true`], [`assert_equal`] |

mod arrays;
pub(crate) mod assertion;
mod conditional;
pub(crate) mod frames;
pub(crate) mod functional;
pub(crate) mod grouping;
mod loops;
mod mapping;
pub(crate) mod older_arrays;
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
