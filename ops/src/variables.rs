//! Variables: making, assigning, initializing and listing them.
//!
//! ```
//! use ops::OutputExt;
//! use ops::array::placeholder;
//! use ops::initializers::glorot_uniform;
//! use ops::variables::{VariableExt, get_variable, global_variables_initializer, variable};
//! use session_core::{DType, Graph};
//!
//! let graph = Graph::new();
//! let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(64)]);
//! let w = get_variable(&graph, "w", [64, 10], DType::Float32, &glorot_uniform());
//! let count = variable(&graph.named("count"), 0i64);
//! let logits = x.matmul(&w); // a variable stands for its value
//! let increment = count.assign_add(1i64);
//! let init = global_variables_initializer(&graph);
//! # let _ = (logits, increment, init);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```

mod builder;
mod collections;
mod initialized_value;
mod partitioned;
mod update;
mod value;

pub use builder::{VariableBuilder, get_variable, local_variable, variable};
pub use collections::{
    global_variables, global_variables_initializer, local_variables, local_variables_initializer,
    report_uninitialized, report_uninitialized_variables, tables_initializer, trainable_variables,
    variables_initializer,
};
pub use partitioned::{
    FixedSize, MinMax, PartitionedVariable, Partitioner, fixed_size_partitioner, get_partitioned_variable,
    min_max_variable_partitioner,
};
pub use update::VariableExt;
pub use value::Value;
