//! Queues: what hands elements from the threads that make them to the steps that use them.
//!
//! A queue belongs to a session and is named by its operation (or its shared name). What fills it runs
//! [`enqueue`](Queue::enqueue) operations, usually a queue runner's threads; what uses it builds on
//! [`dequeue`](Queue::dequeue) or [`dequeue_many`](Queue::dequeue_many), which wait while there is too little.
//!
//! ```
//! use ops::data_flow::FifoQueue;
//! use ops::{array::placeholder, math};
//! use session_core::{DType, Graph, PartialShape};
//!
//! let graph = Graph::new();
//! let x = placeholder(&graph.named("x"), DType::Float32, [2]);
//! let queue = FifoQueue::new(&graph, 32, DType::Float32).shapes([[2]]).build();
//! let enqueue = queue.enqueue(&x);
//! let batch = queue.dequeue_many(8).output();
//! assert_eq!(enqueue.name(), "fifo_queue_enqueue");
//! assert_eq!(batch.shape(), &PartialShape::from([8, 2]));
//! let _sum = math::reduce_sum(&batch, ..);
//! graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```

pub(crate) mod accumulators;
pub(crate) mod barriers;
mod components;
mod kinds;
mod queue;
pub(crate) mod queue_ops;
pub(crate) mod sparse_map;
pub(crate) mod staging;

pub use accumulators::{ConditionalAccumulator, Reduction, SparseConditionalAccumulator};
pub use barriers::Barrier;
pub use components::{Components, Dtypes};
pub use kinds::{FifoQueue, PaddingFifoQueue, PriorityQueue, RandomShuffleQueue};
pub use queue::{Dequeued, Queue};
pub use sparse_map::{add_many_sparse, add_sparse, take_many_sparse};
pub use staging::StagingArea;
