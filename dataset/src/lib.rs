//! Datasets: the way in which a program feeds a session.
//!
//! A [`Dataset`] describes elements: where they come from, what is done to them, in which order they come. It is a value of the
//! graph, made by TensorFlow's operations, so graphs with datasets are exported and imported as they are. An [`Iterator`] yields
//! the elements to steps: [`get_next`](Iterator::get_next) returns outputs that stand for the components of the next one.
//!
//! ```
//! use dataset::{Dataset, Remainder};
//! use session_core::Graph;
//!
//! let graph = Graph::new();
//! let numbers = Dataset::range(&graph, 0, 10, 1).map(|_, element| vec![&element[0] * &element[0]]);
//! let batches = numbers.shuffle(10, Some(7)).repeat(None).batch(4, Remainder::Drop).prefetch(2);
//! let iterator = batches.make_initializable_iterator();
//! let squares = iterator.get_next().remove(0);
//! assert_eq!(squares.shape().to_string(), "[4]");
//! graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! - **Sources** read [tensors](Dataset::from_tensor_slices), [records](Dataset::tf_record), [lines](Dataset::text_line) and
//!   other files, or call Rust: [`from_rows`](Dataset::from_rows) asks a closure for rows by their numbers, which is shuffled
//!   and resumed at a constant cost, and [`from_generator`](Dataset::from_generator) takes whatever a Rust iterator yields.
//! - **Transformations** have TensorFlow's names. [`map`](Dataset::map) and its like take closures that build operations;
//!   [`map_host`](Dataset::map_host) runs Rust on the values.
//! - **Seeds** make an order: equal seeds give TensorFlow's order.
//! - **Resuming**: an iterator's position is what steps have taken. It is in the checkpoint, and a resumed run continues with the
//!   very next element.
//!
//! The initializers of iterators are in the collection `table_initializer`, so monitored sessions run them.

mod choice;
mod elements;
mod functions;
mod host;
mod iterator;
pub mod nest;
mod op;
mod options;
mod order;
mod sources;
mod windows;

use elements::Spec;
use session_core::{Graph, Output};
use std::fmt;

pub use iterator::{Iterator, Optional};
pub use ops::io::Compression;
pub use options::Options;
pub use order::Remainder;
pub use windows::BucketOptions;

/// A description of elements, each of which has one component or more.
///
/// Methods return new datasets. Errors, such as a component of another dtype, are recorded in the graph, as by all constructors of
/// operations.
#[derive(Clone)]
pub struct Dataset {
    variant: Output,
    spec: Spec,
}

impl Dataset {
    /// Returns the output that represents the dataset in the graph.
    #[must_use]
    pub fn variant(&self) -> &Output {
        &self.variant
    }

    /// Returns the dtypes of the components, and their shapes as far as they are known.
    #[must_use]
    pub fn components(&self) -> &[session_core::OutputInfo] {
        &self.spec.0
    }

    /// Returns the graph.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.variant.graph()
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("variant", &self.variant).field("components", &self.spec.0).finish()
    }
}
